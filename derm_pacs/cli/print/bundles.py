"""Installed bundles on the screen."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from derm_pacs.bundles.listing import ListedBundle
from derm_pacs.cli.print.terminal import plain, print_json, stdout
from derm_pacs.cli.print.times import moment


def print_bundles(bundles: Sequence[ListedBundle], zone: ZoneInfo, *, as_json: bool) -> None:
    """Print the installed bundles."""
    if as_json:
        print_json([plain(one.bundle) | {"usable": not one.unusable, "unusable_because": one.unusable} for one in bundles])
        return
    out = stdout()
    for one in bundles:
        bundle, identity = one.bundle, one.bundle.identity
        force = "in force" if bundle.active else "not in force"
        usable = f"NOT USABLE: {one.unusable}" if one.unusable else "usable"
        out.print(f"{identity.name} {identity.version}: {force}, {usable}", style="bold red" if one.unusable else "bold")
        out.print(f"  {identity.title}; grade {identity.grade}; installed {moment(bundle.installed_at, zone)}")
        out.print(f"  content {identity.content_hash}\n  licence: {bundle.licence}")
        for point in bundle.operating_points:
            called = f"{point.positive} of {point.output} at or above {point.threshold:g}"
            out.print(f"  operating point {point.id}: {called}, set by {point.set_by}")
    if not bundles:
        out.print("no bundles")
