"""`derm-pacs bundles list|activate|deactivate|threshold`: what is installed, and what is in force."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from derm_pacs.bundles import activate as activating
from derm_pacs.bundles import deactivate as deactivating
from derm_pacs.bundles.listing import listed
from derm_pacs.bundles.threshold import set_threshold
from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, Config, Json, Reason
from derm_pacs.cli.print.bundles import print_bundles

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the bundle.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Version, such as 1.0.0.")]
Point = Annotated[str, typer.Argument(metavar="POINT", help="Id of the operating point; see `bundles list`.")]
Value = Annotated[float, typer.Argument(metavar="VALUE", min=0.0, max=1.0, help="Probability in 0..1 at or above which the call is positive.")]


def list_bundles(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the installed bundles, usable or why not, with their thresholds.

    Every file is read and compared with what was installed.

    Examples:
        derm-pacs bundles list
        derm-pacs bundles list --json
    """
    with opened(config, start_embedded=True) as here:
        print_bundles(listed(here.database), here.settings.zone, as_json=as_json)


def activate(
    name: Name, version: Version, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG
) -> None:
    """Bring a version of a bundle into force.

    The version that was in force steps back; cases analysed from now on are read by this one. A bundle of grade
    demonstration comes into force only where no clinical route names it.

    Examples:
        derm-pacs bundles activate melanoma_nevus_alexnet 1.3.0 --reason "validated on our images"
    """
    with opened(config, start_embedded=True) as here:
        made = activating.activate(
            here.database, name, version, routes=here.settings.routing(), actor=actor, reason=reason, now=datetime.now(UTC)
        )
    print(f"{made.identity.name} {made.identity.version} is in force")


def deactivate(name: Name, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG) -> None:
    """Take a bundle out of force.

    Cases whose route names it are not read by it any more, until a version is activated.

    Examples:
        derm-pacs bundles deactivate melanoma_nevus_alexnet --reason "wrong on our camera's images"
    """
    with opened(config, start_embedded=True) as here:
        made = deactivating.deactivate(here.database, name, actor=actor, reason=reason, now=datetime.now(UTC))
    print(f"{made.identity.name} {made.identity.version} is out of force")


def threshold(name: Name, point: Point, value: Value, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG) -> None:
    """Move the threshold of a bundle's operating point.

    Cases analysed from now on are called with it; their reports say who set it.

    Examples:
        derm-pacs bundles threshold melanoma_nevus_alexnet default 0.35 --reason "sensitivity first, see protocol 12"
    """
    with opened(config, start_embedded=True) as here:
        made = set_threshold(here.database, name, point, value, actor=actor, reason=reason, now=datetime.now(UTC))
    print(f"{name} {made.id}: threshold {made.threshold:g}, set by {made.set_by}")
    if made.threshold == 0:
        print(f"at 0 every image is called {made.positive}")
