"""`derm-pacs bundles export`: a trained network becomes a bundle that the service can install."""

import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derm_pacs.cli.bundle_folder import Bundle, bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.gate import gate_of
from derm_pacs.cli.named_path import WEIGHTS, named_path
from derm_pacs.cli.options import Json
from derm_pacs.cli.print.terminal import print_json
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages
from derm_pacs.domain.bundle import version_form
from derm_pacs.domain.codes import CODES

if TYPE_CHECKING:
    from derm_training.shipping.outlived import Outlived


class Dtype(StrEnum):
    """How the weights are held in the file; the network computes in float32 with each."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


Checkpoint = Annotated[Path | None, typer.Option("--checkpoint", metavar="FILE", help="best.pt of a training, or a safetensors file. Without one the weights stay, and golden promises and metadata are written anew.")]
Held = Annotated[Dtype | None, typer.Option("--dtype", help="How the weights are held in the file: int8 is a quarter of float32, float16 a half. Otherwise as the description says.")]
NewVersion = Annotated[str | None, typer.Option("--version", metavar="VERSION", help="Give the bundle this version, such as 1.4.0; other weights than it has need a new one. Otherwise the version stays.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Write a copy of the bundle there, and leave the bundle as it is. The folder must not exist yet.")]


def export(
    bundle: Bundle, *, checkpoint: Checkpoint = None, dtype: Held = None, version: NewVersion = None, out: Out = None, as_json: Json = False
) -> None:
    """Ship a trained network: weights, their hash, what they say of the golden pictures, and the bundle's metadata.

    What was found with the former weights goes with them, and is told: figures in serving.json, card and docs/report (measure anew:
    `bundles evaluate --write`), a limit of novelty (`bundles novelty`) and a temperature, which becomes 1. A temperature that you
    write into serving.json afterwards stays as long as the weights.
    Golden pictures are kept where the bundle has some, and drawn where it has none; one that the bundle's gate refuses has its
    refusal promised instead of figures. Where all are refused nothing is written.

    Examples:
        derm-pacs bundles export melanoma_nevus_alexnet --checkpoint training/melanoma_nevus_alexnet/best.pt --version 1.4.0
        derm-pacs bundles export clinical_melanoma_resnet50 --checkpoint best.pt --dtype int8 --version 1.1.0 --out /srv/bundles/ours
    """
    with training_packages():
        from derm_training.shipping.export import export as run
    if version is not None:
        with refused(ValueError, remedy="give three numbers of at most four digits, such as --version 1.4.0", code=ExitCode.USAGE):
            version_form(version)
    folder = bundle_folder(bundle)
    if checkpoint is not None:
        named_path(checkpoint, "--checkpoint", WEIGHTS)
    # what is written is first made beside its place
    output_folder((out or folder).absolute().parent, "--out" if out else "BUNDLE")
    with refused(ValueError, remedy="see docs/lead/training.md"):
        made = run(folder, checkpoint, code_triples(), gate_of, dtype=dtype.value if dtype else None, version=version, out=out)
    if as_json:
        print_json({"folder": str(made.folder), "sha256": made.sha256, "bytes": made.size, "golden": made.golden, **_dropped(made.outlived)})
        return
    print(f"{made.folder}: weights of {made.size / 1e6:.1f} MB, SHA-256 {made.sha256}")
    print_golden(made.golden)
    if made.outlived.figures:
        print("the figures in serving.json, docs/README.md and docs/report were those of the former weights and are taken out: not measured yet")
    for temperature in made.outlived.temperatures:
        print(f"the temperature {temperature:.4g} was fitted to the former weights; it is 1 now, and the next report tells the one that fits")
    place = shlex.quote(str(made.folder))
    if made.outlived.limit:
        print("the limit of novelty was that of the former weights and is taken out")
        print(f"find one: derm-pacs bundles novelty {place} --data TABLE")
    print(f"measure:  derm-pacs bundles evaluate {place} --data TABLE --write")
    print(f"gate:     derm-pacs bundles quality {place} --data TABLE --write")
    print(f'install:  derm-pacs bundles install {place} --reason "…"')


def _dropped(outlived: "Outlived") -> dict[str, object]:
    return {"limit_dropped": outlived.limit, "figures_dropped": outlived.figures, "temperatures_dropped": list(outlived.temperatures)}


def print_golden(golden: Mapping[str, Mapping[str, float] | str]) -> None:
    """Print a line for each golden picture: its promised figures, or why it is refused."""
    for file, promise in golden.items():
        told = f"refused as {promise}" if isinstance(promise, str) else ", ".join(f"{name} {value:.4f}" for name, value in promise.items())
        print(f"{file}: {told}")


def code_triples() -> dict[str, tuple[str, str, str]]:
    """Return value, scheme and meaning of every concept, as the record in a bundle's metadata holds them."""
    return {name: (code.value, code.scheme, code.meaning) for name, code in CODES.items()}
