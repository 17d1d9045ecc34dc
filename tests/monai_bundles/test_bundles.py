"""Each shipped bundle is whole: layout, description, weights, golden pictures, and stock MONAI gives the service's numbers."""

import hashlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle.config_parser import ConfigParser
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from derm_networks.served import open_bundle
from derm_pacs.domain.bundle import QualityLimits, ServingDescription, lesion_rules
from derm_pacs.domain.codes import CODES
from derm_pacs.domain.findings import Classification, Combine, Crops, Grade, LesionRule, Segmentation
from derm_pacs.inference import golden, networks
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels, load_bundle
from derm_pacs.samples.draw import IRREGULAR, dermoscopic
from tests.conftest import REPOSITORY, shared_data

FOLDER = REPOSITORY / "monai_bundles"
BUNDLES = sorted(folder.name for folder in FOLDER.iterdir() if (folder / "configs").is_dir())
DEMONSTRATIONS = {"dermatosis14_efficientnet_b4", "rcm_mosaic_resnet"}
"""Bundles that learned from drawn pictures: none of their classes, or not all, have images that may be had."""
PLACES = (
    "LICENSE",
    "configs/evaluate.json",
    "configs/inference.json",
    "configs/metadata.json",
    "configs/serving.json",
    "configs/train.json",
    "docs/README.md",
    "docs/report/report.html",
    "docs/report/report.json",
    "golden/0.png",
    "models/model.safetensors",
)
ALL_WEIGHTS = 120_000_000
"""Bytes that the weights of all bundles may take together, since every retrain stays in the history."""
OPEN = QualityLimits(min_laplacian_variance=0, max_dark_fraction=1, min_contrast=0)
"""A gate that lets everything through: what the network says is compared, whatever the picture."""
WITHOUT_US = "import sys\nsys.modules['derm_pacs'] = None\n"

each_bundle = pytest.mark.parametrize("name", BUNDLES)


def description(name: str) -> ServingDescription:
    return ServingDescription.model_validate_json((FOLDER / name / "configs" / "serving.json").read_bytes())


def config(name: str, file: str) -> dict[str, object]:
    return dict(json.loads((FOLDER / name / "configs" / f"{file}.json").read_text(encoding="utf-8")))


def loaded(name: str) -> LoadedBundle:
    return load_bundle(FOLDER / name, description(name))


def ungated(name: str) -> LoadedBundle:
    return load_bundle(FOLDER / name, description(name).model_copy(update={"quality": OPEN}))


def crooked_picture(name: str) -> NDArray[np.uint8]:
    """Neither square nor symmetric: a wrong axis or mirror changes every number. As large and of the colour that the bundle reads."""
    wanted = description(name).input
    times = max(1.0, wanted.min_short_side / 180)
    rows, columns = (axis / times for axis in np.mgrid[0 : int(180 * times), 0 : int(300 * times)])
    blob = np.hypot((columns - 200) / 60, (rows - 60) / 40) < 1 + 0.2 * np.sin(columns / 9)
    ground = np.stack([215 - rows / 6, 170 - columns / 12, 150 + rows / 20], axis=-1)
    picture = np.where(blob[..., None], np.array([110.0, 65.0, 50.0]), ground)
    noise = np.random.default_rng(5).normal(0, 6, picture.shape)
    drawn = np.asarray((picture + noise).clip(0, 255).round(), dtype=np.uint8)
    return drawn if wanted.colour == "RGB" else np.ascontiguousarray(drawn[..., 1])


def stock(name: str, folder: Path, *arguments: str) -> None:
    """Run `python -m monai.bundle` in the bundle's folder, with a Python that has no derm_pacs."""
    (folder / "sitecustomize.py").write_text(WITHOUT_US)
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", *arguments],
        cwd=FOLDER / name, env=environment, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def files(file: str) -> tuple[str, ...]:
    return ("--config_file", f"configs/{file}.json", "--meta_file", "configs/metadata.json", "--bundle_root", ".")


@each_bundle
def test_the_bundle_has_all_its_parts_and_no_program_of_its_own(name: str) -> None:
    assert [place for place in PLACES if not (FOLDER / name / place).is_file()] == []
    assert list((FOLDER / name).rglob("*.py")) == []


@each_bundle
def test_the_description_is_the_services_and_names_the_folder(name: str) -> None:
    described = description(name)
    assert described.name == name
    assert described.grade == (Grade.DEMONSTRATION if name in DEMONSTRATIONS else Grade.RESEARCH)
    assert described.licence
    assert described.input.sop_classes
    assert described.validation


@each_bundle
def test_the_weights_are_the_described_ones_and_fit_the_network_strictly(name: str) -> None:
    described = description(name)
    data = (FOLDER / name / described.weights.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == described.weights.sha256
    loaded(name)


def test_all_weights_together_stay_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*/models/*")) < ALL_WEIGHTS


@each_bundle
def test_stock_monai_and_the_service_make_the_network_from_the_same_bytes(name: str) -> None:
    served = networks.build(description(name).network)
    parser = ConfigParser(config(name, "inference"))
    theirs: nn.Module = parser.get_parsed_content("network_def", instantiate=True)
    assert type(theirs).__name__ == type(served).__name__
    target = str(parser["network_def"]["_target_"])
    module = REPOSITORY / f"{target.rpartition('.')[0].replace('.', '/')}.py"
    assert Path(inspect.getfile(type(theirs))) == Path(inspect.getfile(type(served))) == module
    shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (theirs, served)]
    assert shapes[0] == shapes[1]
    for place in ("train", "evaluate"):
        assert ConfigParser(config(name, place))["network_def"]["_target_"] == target


@pytest.mark.server
@each_bundle
def test_the_golden_pictures_give_the_promised_figures_or_are_refused_as_promised(name: str) -> None:
    bundle = loaded(name)
    for promised, found in zip(bundle.description.golden, golden.figures(bundle, FOLDER / name, max_pixels=100_000_000), strict=True):
        assert (found.refusal.reason if found.refusal else None) == promised.refused
        assert found.figures == pytest.approx(promised.expect, abs=promised.tolerance)


@pytest.mark.server
@each_bundle
def test_the_way_of_evaluation_is_the_way_of_the_service(name: str) -> None:
    picture = crooked_picture(name)
    ours = open_bundle(FOLDER / name)
    for outcome in analyse_pixels(ungated(name), picture):
        if isinstance(outcome, Classification):
            service = {one.class_id: one.probability for one in outcome.probabilities}
            assert ours.probabilities(picture) == pytest.approx(service, abs=1e-6)
        else:
            assert isinstance(outcome, Segmentation)
            assert np.array_equal(ours.mask(picture, output=outcome.output), outcome.mask)


@pytest.mark.server
def test_the_classifier_explains_its_call_and_says_how_images_of_a_lesion_give_one() -> None:
    bundle = ungated("melanoma_nevus_alexnet")
    assert lesion_rules(bundle.description) == (LesionRule(output="class", combine=Combine.MEAN),)
    radius, middle = IRREGULAR.radius * 900, (450, 600)
    cut = np.ascontiguousarray(dermoscopic(2, IRREGULAR, shape=(900, 1200))[:600, 400:])  # the lesion lies below and left
    (found,) = analyse_pixels(bundle, cut)
    assert isinstance(found, Classification)
    assert found.saliency is not None
    assert (found.saliency.method, found.saliency.class_id, found.saliency.grid.shape) == ("grad_cam", "melanoma", (13, 13))
    down, across = divmod(int(found.saliency.grid.argmax()), 13)
    strongest = (down + 0.5) / 13 * 600, (across + 0.5) / 13 * 800
    assert np.hypot(strongest[0] - middle[0], strongest[1] - (middle[1] - 400)) < radius, "in the lesion; of a mirrored map it would not be"


@pytest.mark.server
@each_bundle
def test_each_bundle_that_explains_gives_a_map_of_its_own_method(name: str) -> None:
    bundle = ungated(name)
    pictures = [crooked_picture(name)]
    if description(name).input.colour == "RGB":
        pictures.append(dermoscopic(1, IRREGULAR, shape=(600, 800)))
    outcomes = [one for picture in pictures for one in analyse_pixels(bundle, picture) if isinstance(one, Classification)]
    maps = [one.saliency for one in outcomes if one.saliency is not None]  # none where nothing speaks for the class
    if bundle.description.explanation is None:
        assert maps == []
        return
    assert maps
    for found in maps:
        assert found.method == bundle.description.explanation.method
        assert found.class_id in {one.class_id for one in outcomes[0].probabilities}
        assert min(found.grid.shape) > 1
        assert found.grid.max() > found.grid.min(), "a map says where"


@each_bundle
def test_every_concept_and_method_of_the_bundle_has_a_code(name: str) -> None:
    described = description(name)
    for output in described.outputs:
        named = [one.concept for one in output.classes] if output.kind == "classification" else [output.concept]
        assert [one for one in named if one not in CODES] == []
    assert described.explanation is None or described.explanation.method in CODES


@each_bundle
def test_metadata_and_description_say_the_same(name: str) -> None:
    metadata = json.loads((FOLDER / name / "configs" / "metadata.json").read_text(encoding="utf-8"))
    serving = json.loads((FOLDER / name / "configs" / "serving.json").read_text(encoding="utf-8"))
    described = description(name)
    assert metadata["version"] == described.version
    assert metadata["version"] in metadata["changelog"]
    said = metadata["derm_pacs"]
    assert said["sop_classes"] == described.input.sop_classes
    assert said["colour"] == described.input.colour
    assert said["min_short_side"] == described.input.min_short_side
    assert said["operating_points"] == serving["operating_points"]
    assert said["quality"] == serving["quality"]
    assert said["licence"] == described.licence
    assert said["metrics"] == serving["validation"]
    assert said["explanation"] == serving.get("explanation")
    assert said["intended_use"]
    assert said["training_data"]
    for output, told in zip(described.outputs, said["outputs"], strict=True):
        assert (told["id"], told["kind"]) == (output.id, output.kind)
        if output.kind == "segmentation":
            assert (told["threshold"], told["code"]["value"]) == (output.threshold, CODES[output.concept].value)
            continue
        assert told["temperature"] == output.temperature
        assert [(one["id"], one["code"]["value"]) for one in told["classes"]] == [
            (one.id, CODES[one.concept].value) for one in output.classes
        ]


@each_bundle
def test_the_metadata_is_valid_against_monais_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'train'")
    schema = json.loads((shared_data() / "monai" / "meta_schema_20240725.json").read_text(encoding="utf-8"))
    jsonschema.validate(config(name, "metadata"), schema)


@pytest.mark.server
@each_bundle
def test_monais_own_check_of_the_metadata_passes(name: str, tmp_path: Path) -> None:
    """With a copy of the schema in the place where MONAI would load it from."""
    schema = tmp_path / "schema.json"
    schema.write_bytes((shared_data() / "monai" / "meta_schema_20240725.json").read_bytes())
    stock(name, tmp_path, "verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", str(schema))


@pytest.mark.server
@each_bundle
def test_stock_inference_gives_the_services_numbers_on_a_crooked_picture(name: str, tmp_path: Path) -> None:
    picture = crooked_picture(name)
    (tmp_path / "in").mkdir()
    Image.fromarray(picture).save(tmp_path / "in" / "crooked.png")
    stock(name, tmp_path, "run", *files("inference"), "--input_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out"))
    for outcome in analyse_pixels(ungated(name), picture):
        if isinstance(outcome, Classification):
            line = (tmp_path / "out" / "probabilities.csv").read_text(encoding="utf-8").strip().split(",")
            found = [float(one) for one in line[-len(outcome.probabilities) :]]
            assert found == pytest.approx([one.probability for one in outcome.probabilities], abs=1e-5)
        elif isinstance(outcome, Segmentation):
            drawn = mask_of(tmp_path / "out", outcome.output)
            assert drawn.shape == outcome.mask.shape
            # float32 sums may tip a pixel whose logit is zero to seven digits
            assert np.count_nonzero(drawn != outcome.mask) <= 2
        else:
            assert isinstance(outcome, Crops)


class Says(nn.Module):
    """Stands for a network: the same maps for every picture."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits[None]


@pytest.mark.parametrize(("side", "hole", "seen"), [(3, 0, 0), (7, 0, 0), (8, 0, 64), (8, 4, 64), (20, 0, 400)])
def test_evaluation_and_stock_inference_draw_no_smaller_region_than_the_service(side: int, hole: int, seen: int) -> None:
    name, size = "skin_lesion_deeplabv3plus", (180, 280)
    logits = torch.full((2, *size), -5.0)
    logits[:, 90 : 90 + side, 100 : 100 + side] = 5
    logits[:, 92 : 92 + hole, 102 : 102 + hole] = -5
    bundle = LoadedBundle(description=description(name).model_copy(update={"quality": OPEN, "crops": None}), network=Says(logits))
    served = {one.output: one.mask for one in analyse_pixels(bundle, crooked_picture(name)[: size[0], : size[1]]) if isinstance(one, Segmentation)}
    assert [int(mask.sum()) for mask in served.values()] == [seen, seen]
    picture = {"pred": logits, "label": torch.zeros(1, *size), "original": torch.zeros(3, *size)}
    for file, keys in (("evaluate", {"lesion": "pred"}), ("inference", {"lesion": "pred_lesion", "skin": "pred_skin"})):
        steps = [one for one in config(name, file)["postprocessing"]["transforms"] if "SaveMaskd" not in one["_target_"]]  # type: ignore[index]
        made = ConfigParser({"steps": {"_target_": "Compose", "transforms": steps}}).get_parsed_content("steps")(dict(picture))
        for output, key in keys.items():
            assert np.array_equal(np.asarray(made[key])[0] > 0, served[output]), file


@each_bundle
def test_stock_inference_reads_a_picture_upright(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    picture = crooked_picture(name)
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.rot90(picture, -1)).save(tmp_path / "upright.png")
    parser = ConfigParser(config(name, "inference"))
    parser.get_parsed_content("imports")
    prepare = parser.get_parsed_content("preprocessing")
    turned, upright = (prepare({"image": str(tmp_path / f"{file}.png")})["image"] for file in ("turned", "upright"))
    assert torch.equal(turned, upright)


def mask_of(folder: Path, output: str) -> NDArray[np.bool_]:
    """Return the mask that stock MONAI wrote of the crooked picture; of several outputs, that of this name."""
    written = sorted(folder.rglob("crooked*.png"))
    (file,) = written if len(written) == 1 else [one for one in written if output in one.stem]
    return np.asarray(Image.open(file)) > 0


@pytest.mark.server
@each_bundle
def test_the_network_takes_and_gives_what_the_metadata_says(name: str, tmp_path: Path) -> None:
    stock(name, tmp_path, "verify_net_in_out", "network_def", *files("inference"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Tables of a few drawn pictures, in the colours that the named bundle reads."""

    @cache
    def made(colour: str) -> Path:
        return drawn_table(tmp_path_factory.mktemp(f"images-{colour}"), grey=colour == "GREY")

    return lambda name: made(description(name).input.colour)


def drawn_table(folder: Path, *, grey: bool) -> Path:
    """Write pictures with every label that a bundle knows, with masks of skin and lesion, in each split; return their table."""
    labels = sorted({one.id for name in BUNDLES for output in description(name).outputs if output.kind == "classification" for one in output.classes})
    random = np.random.default_rng(3)
    lines = ["path,label,mask,skin,split,source,dataset,lesion_id"]
    for number, label in enumerate(labels):
        for split in ("train", "val"):
            picture = random.integers(0, 255, (400, 480, 3), dtype=np.uint8)
            Image.fromarray(picture).convert("L" if grey else "RGB").save(folder / f"{label}-{split}.png")
            mask = np.zeros((400, 480), np.uint8)
            mask[100:300, 100 : 200 + 10 * number] = 255
            Image.fromarray(mask).save(folder / f"{label}-{split}-mask.png")
            line = f"{label}-{split}.png,{label},{label}-{split}-mask.png,,{split},drawn,noise,{label}-{split}"
            lines.append(line)
    (folder / "MANIFEST.csv").write_text("\n".join(lines) + "\n")
    return folder / "MANIFEST.csv"


@pytest.mark.server
@each_bundle
def test_stock_training_runs_and_writes_weights_that_the_network_takes(name: str, images: Callable[[str], Path], tmp_path: Path) -> None:
    few = ("--epochs", "1", "--pictures", "28", "--batch", "2", "--pretrained", "none", "--device", "cpu")
    stock(name, tmp_path, "run", *files("train"), "--data", str(images(name)), "--output_dir", str(tmp_path / "out"), *few)
    state = torch.load(tmp_path / "out" / "best.pt", weights_only=True)
    networks.build(description(name).network).load_state_dict(state, strict=True)


@pytest.mark.server
@each_bundle
def test_stock_evaluation_runs(name: str, images: Callable[[str], Path], tmp_path: Path) -> None:
    stock(name, tmp_path, "run", *files("evaluate"), "--data", str(images(name)), "--split", "val")


@each_bundle
def test_stock_evaluation_gives_no_figure_of_photographs_and_drawn_pictures_together(
    name: str, images: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = images(name).with_name("mixed.csv")
    table.write_text(images(name).read_text().replace(",val,drawn,noise,", ",val,drawn,synthetic noise,"))
    monkeypatch.chdir(FOLDER / name)
    parser = ConfigParser(config(name, "evaluate") | {"data": str(table), "split": "all"})
    with pytest.raises(RuntimeError) as refused:
        parser.get_parsed_content("dataset")
    at: BaseException | None = refused.value
    while at is not None and not isinstance(at, ValueError):
        at = at.__cause__
    assert "which share no figure: measure them apart" in str(at)


@each_bundle
def test_the_card_holds_the_figures_of_the_description_and_says_what_it_must_not_be_used_for(name: str) -> None:
    card = (FOLDER / name / "docs" / "README.md").read_text(encoding="utf-8")
    for figure in description(name).validation:
        interval = f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}"
        assert f"{interval})" in card or f"{interval}, n {figure.n})" in card, figure
    for words in ("Research use. Not for primary diagnosis.", "Must not be used", "Dark skin"):
        assert words in card
    assert ("SYNTHETIC" in card.upper()) or name not in DEMONSTRATIONS
