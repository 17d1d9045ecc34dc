"""What a route asks of the bundles in force that they must not do, or cannot."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from derm_pacs.bundles.verify import described
from derm_pacs.domain.bundle import SegmentationOutput
from derm_pacs.domain.findings import BundleIdentity, Grade
from derm_pacs.domain.reasons import CHAIN_IMPOSSIBLE, DEMONSTRATION_BUNDLE, Reason
from derm_pacs.domain.routing import Route

InForce = Mapping[str, tuple[BundleIdentity, Path]]
"""The bundles in force by name, each with its folder."""


def faults(route: Route, in_force: InForce) -> Iterator[tuple[Reason, str]]:
    """Yield why the route's bundles must not or cannot read as it says, each with the names; those not in force are passed over.

    A bundle of grade demonstration must not read a clinical route; crops must be found by the one bundle and read whole by the
    other. Raises `Defect` (bundle_changed) where a description cannot be read.
    """
    for name in route.bundles:
        if route.clinical and name in in_force and in_force[name][0].grade is Grade.DEMONSTRATION:
            yield DEMONSTRATION_BUNDLE, f"route {route.name}, bundle {_told(in_force[name][0])}"
    for reader, finder in route.reads_crops_of.items():
        if reader not in in_force or finder not in in_force:
            continue
        if described(in_force[finder][1]).crops is None:
            yield CHAIN_IMPOSSIBLE, f"route {route.name}: {_told(in_force[finder][0])} finds no crops"
        if any(isinstance(one, SegmentationOutput) for one in described(in_force[reader][1]).outputs):
            yield (
                CHAIN_IMPOSSIBLE,
                f"route {route.name}: {_told(in_force[reader][0])} draws masks, so it reads whole images only",
            )


def _told(bundle: BundleIdentity) -> str:
    return f"{bundle.name} {bundle.version}"
