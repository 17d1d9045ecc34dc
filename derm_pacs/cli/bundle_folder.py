"""Where the bundle is that a command of training or measuring names: by its folder, or by its name."""

from pathlib import Path
from typing import Annotated

import typer

import derm_pacs
from derm_pacs.cli.exit_codes import CommandError, ExitCode

Bundle = Annotated[str, typer.Argument(metavar="BUNDLE", help="The bundle's folder, or its name: of one in ./monai_bundles, or of one that comes with derm-pacs.")]


def bundle_folder(name: str, *, holding: str = "configs/serving.json") -> Path:
    """Return the bundle's folder: `name` itself, or NAME in ./monai_bundles, or the shipped bundle of that name.

    Raises CommandError where none of them has the file `holding`, and names the bundles that have it.
    """
    places = (Path("monai_bundles"), Path(derm_pacs.__file__).resolve().parents[1] / "monai_bundles")
    for folder in (Path(name), *(place / name for place in places)):
        if (folder / holding).is_file():
            return folder.resolve()
    known = sorted({file.parents[len(Path(holding).parts) - 1].name for place in places for file in place.glob(f"*/{holding}")})
    named = f", or one of these: {', '.join(known)}" if known else ""
    raise CommandError(ExitCode.NOT_FOUND, f"there is no bundle {name!r}", f"name a folder with {holding}{named}")
