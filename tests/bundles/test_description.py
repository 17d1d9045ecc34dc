"""What `serving.json` cannot say is refused by the name of the key."""

import json
from typing import Any, get_args

import pytest

from derm_pacs.bundles.description import NotDescribed, parse
from derm_pacs.domain.bundle import GateReason, explained_class, lesion_rules
from derm_pacs.domain.findings import Classification, ClassProbability, Combine, LesionRule
from derm_pacs.domain.reasons import REASONS


def test_a_whole_description_is_read(whole: dict[str, Any]) -> None:
    assert parse(json.dumps(whole).encode()).name == "tiny"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("licence_text", {}, "licence_text is not known"),
        ("explanation/method", "occlusion", "explanation.method is wrong"),
        ("explanation/output", "none", "explanation names no classification output: 'none'"),
        ("explanation/layer", "features[0]; import os", "explanation.layer is wrong"),
        ("outputs/0/lesion_rule", "median", "outputs.0.classification.lesion_rule is wrong"),
        ("network/_target_", "os.system", "network._target_ is not known"),
        ("preprocessing/0/op", "python", "preprocessing.0 is wrong"),
        ("preprocessing/0/height", 9999, "preprocessing.0.resize.height is wrong"),
        ("preprocessing/0/_requires_", "$exec('')", "preprocessing.0.resize._requires_ is not known"),
        ("weights/file", "../../etc/shadow", "weights.file is wrong"),
        ("weights/file", "/etc/shadow", "weights.file is wrong"),
        ("weights/file", "a\\..\\b", "weights.file is wrong"),
        ("golden/0/file", "golden/../../0.png", "golden.0.file is wrong"),
        ("schema", 2, "schema is wrong"),
        ("version", "latest", "version is wrong"),
        ("name", "Tiny Bundle", "name is wrong"),
        ("golden", [], "golden is wrong"),
        ("golden/0/expect", {}, "golden.0 is wrong: .*either figures .* or a refusal"),
        ("golden/0/refused", "out_of_distribution", "golden.0 is wrong: .*either figures .* or a refusal"),
        ("golden/0/tolerance", None, "golden.0 is wrong: .*tolerance is given with expect"),
        ("golden/0", {"file": "golden/0.png", "refused": "no_skin", "tolerance": 0.01}, "tolerance is given with expect, and with no refusal"),
        ("golden/0", {"file": "golden/0.png", "refused": "no_skin"}, "no golden input promises figures"),
        ("golden/0", {"file": "golden/0.png", "refused": "ugly"}, "golden.0.refused is wrong"),
        ("operating_points/0/output", "none", "names no classification output"),
        ("operating_points/0/threshold", 1.5, "operating_points.0.threshold is wrong"),
        ("quality/min_contrast", "2", "quality.min_contrast is wrong"),
    ],
)
def test_a_wrong_key_is_named(whole: dict[str, Any], key: str, value: object, said: str) -> None:
    *way, last = key.split("/")
    inside: Any = whole
    for step in way:
        inside = inside[int(step) if step.isdigit() else step]
    inside[int(last) if last.isdigit() else last] = value
    with pytest.raises(NotDescribed, match=said):
        parse(json.dumps(whole).encode())


def test_a_golden_input_may_promise_a_refusal_beside_one_that_promises_figures(whole: dict[str, Any]) -> None:
    whole["golden"].append({"file": "golden/1.png", "refused": "out_of_distribution"})
    figures, refusal = parse(json.dumps(whole).encode()).golden
    assert (refusal.refused, refusal.expect, refusal.tolerance) == ("out_of_distribution", {}, None)
    assert figures.refused is None


def test_every_reason_that_can_be_promised_is_one_of_the_list() -> None:
    assert set(get_args(GateReason)) <= set(REASONS)


def test_every_missing_key_is_named(whole: dict[str, Any]) -> None:
    for missing in set(whole) - {"operating_points", "explanation"}:
        with pytest.raises(NotDescribed, match=missing):
            parse(json.dumps({key: value for key, value in whole.items() if key != missing}).encode())


def test_a_classification_says_how_images_of_a_lesion_are_told_together(whole: dict[str, Any]) -> None:
    assert lesion_rules(parse(json.dumps(whole).encode())) == (LesionRule(output="diagnosis", combine=Combine.MEAN),)
    del whole["outputs"][0]["lesion_rule"]
    with pytest.raises(NotDescribed, match=r"lesion_rule is wrong: Field required"):
        parse(json.dumps(whole).encode())


def test_a_mask_needs_no_rule_and_cannot_be_explained(whole: dict[str, Any]) -> None:
    mask = {
        "kind": "segmentation", "id": "diagnosis", "activation": "sigmoid", "threshold": 0.5, "concept": "skin_lesion",
        "min_area_fraction": 0.0,
    }  # fmt: skip
    whole |= {"outputs": [mask], "operating_points": []}
    with pytest.raises(NotDescribed, match="explanation names no classification output: 'diagnosis'"):
        parse(json.dumps(whole).encode())
    del whole["explanation"]
    assert lesion_rules(parse(json.dumps(whole).encode())) == ()


@pytest.mark.parametrize(("points", "explained"), [(1, "nevus"), (0, "melanoma")])
def test_the_explained_class_is_the_first_points_or_the_most_probable(
    whole: dict[str, Any], points: int, explained: str
) -> None:
    whole["operating_points"][0]["positive"] = "nevus"
    whole["operating_points"] = whole["operating_points"][:points]
    shares = (("nevus", 0.3), ("melanoma", 0.7))
    found = Classification(
        output="diagnosis",
        probabilities=tuple(ClassProbability(class_id=one, concept=one, probability=share) for one, share in shares),
    )
    assert explained_class(parse(json.dumps(whole).encode()), found) == explained


def test_a_key_that_stands_twice_is_named(whole: dict[str, Any]) -> None:
    content = json.dumps(whole).replace('"tiny"', '"tiny", "name": "other"')
    with pytest.raises(NotDescribed, match="name stands twice"):
        parse(content.encode())


def test_what_is_no_number_is_refused(whole: dict[str, Any]) -> None:
    with pytest.raises(NotDescribed, match="NaN is no number"):
        parse(json.dumps(whole).replace("0.7", "NaN").encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_what_is_no_description_is_refused(content: bytes) -> None:
    with pytest.raises(NotDescribed, match=r"configs/serving\.json"):
        parse(content)
