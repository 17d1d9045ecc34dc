"""`derm-pacs bundles install`: a bundle's folder becomes an installed version."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from derm_pacs.bundles import install as installing
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, Config, Json, Reason
from derm_pacs.cli.print.terminal import print_json, say
from derm_pacs.inference.client import self_test

Source = Annotated[Path, typer.Argument(metavar="FOLDER", help="The bundle's folder; its files are copied.")]


def install(source: Source, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Install a bundle's folder after its files and its golden outputs are verified.

    The golden inputs run in a confined process. An installed version is not in force yet: see `bundles activate`.

    Examples:
        derm-pacs bundles install monai_bundles/melanoma_nevus_alexnet --reason "first installation"
    """
    named_path(source, "FOLDER", "name the folder of a bundle, such as monai_bundles/melanoma_nevus_alexnet")
    say("the bundle proves its golden outputs; this takes a while")
    with opened(config, start_embedded=True) as here:
        made = installing.install(
            here.database, source, here.settings.bundles_dir, self_test, actor=actor, reason=reason, now=datetime.now(UTC)
        )
    if as_json:
        print_json(made)
    else:
        print(f"{made.identity.name} {made.identity.version} is installed, content {made.identity.content_hash}")
        print(f"licence: {made.licence}")
