"""What is called as the service calls it, and intervals that hold what they promise where classes are of unequal size."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derm_pacs.domain.findings import Classification, ClassProbability, OperatingPoint
from derm_pacs.domain.operating_point import call
from derm_training.measuring.class_figures import Judged, at_point, each_class, figures
from derm_training.measuring.statistics import OperatingPoint as Point
from derm_training.measuring.statistics import Values, wilson
from derm_training.measuring.task_figures import classified
from derm_training.tables.rows import Row

NAMES = ("nevus", "melanoma", "bcc", "acne")


def judged(truth: NDArray[np.intp], probabilities: Values, positive: int | None = None, threshold: float = 0.5) -> Judged:
    groups = tuple(str(n) for n in range(len(truth)))
    return Judged(truth=truth, probabilities=probabilities, groups=groups, positive=positive, threshold=threshold, baseline=None)


def in_the_service(probabilities: list[float], positive: int, threshold: float) -> str:
    shares = zip(NAMES, probabilities, strict=False)
    said = Classification(output="class", probabilities=tuple(ClassProbability(class_id=name, concept=name, probability=value) for name, value in shares))
    return call(said, OperatingPoint(id="default", output="class", positive=NAMES[positive], threshold=threshold, set_by="lead"))


@given(st.data(), st.integers(2, 4))
def test_the_calls_are_the_services(data: st.DataObject, classes: int) -> None:
    weights = data.draw(st.lists(st.lists(st.integers(0, 5), min_size=classes, max_size=classes).filter(any), min_size=1, max_size=6))
    shares = np.array([[one / sum(row) for one in row] for row in weights])
    positive = data.draw(st.integers(0, classes - 1))
    threshold = data.draw(st.sampled_from([0.0, 0.2, 0.25, 0.5, 1.0, *shares[:, positive].tolist()]))  # ties too
    called = judged(np.zeros(len(shares), dtype=np.intp), shares, positive, threshold).called
    assert [NAMES[one] for one in called] == [in_the_service(row, positive, threshold) for row in shares.tolist()]


def test_several_classes_are_measured_at_their_operating_point() -> None:
    shares = np.array([[0.30, 0.45, 0.25], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]] * 4)
    labels = ["melanoma", "nevus", "bcc"] * 4
    rows = [Row(image=Path(f"{n}.png"), mask=None, label=one, split="val", dataset="", source="", group=str(n)) for n, one in enumerate(labels)]
    values, _ = classified(rows, [], np.log(shares), classes=NAMES[:3], positive="melanoma", threshold=0.5, sensitivities=(0.95,))
    assert values["confusion"] == [[4, 0, 0], [4, 0, 0], [0, 0, 4]], "a melanoma of 0.45 is called a naevus, though melanoma is the most probable"
    assert (values["positive"], values["overall"]["threshold"], values["overall"]["n_positive"]) == ("melanoma", 0.5, 4)
    assert values["overall"]["sensitivity"] == pytest.approx(2 / 3, abs=1e-6)
    assert values["per_class"]["melanoma"]["sensitivity"] == 0
    first, second, _ = values["operating_points"]
    assert (first["id"], first["threshold"], first["sensitivity"], first["sensitivity_n"]) == ("default", 0.5, 0, 4)
    assert (first["specificity"], first["specificity_n"]) == (1, 8)
    assert (second["threshold"], second["sensitivity"]) == (pytest.approx(0.45), 1)


def test_without_an_operating_point_the_most_probable_class_is_called() -> None:
    shares = np.array([[0.30, 0.45, 0.25], [0.4, 0.35, 0.25]])
    assert judged(np.array([0, 1]), shares).called.tolist() == [1, 0]
    with pytest.raises(ValueError, match="without an operating point"):
        _ = judged(np.array([0, 1]), shares).scores


def test_each_figure_counts_the_images_that_it_is_made_from() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    shares = np.array([[0.4, 0.6]] * 8)
    found = figures(judged(truth, shares, 1), draws=20)
    assert {name: one.n for name, one in found.items()} == {"auc": 8, "accuracy": 8, "sensitivity": 3, "specificity": 5}
    moved = at_point(judged(truth, shares, 1), Point(threshold=0.7, sensitivity=0, specificity=1))
    assert (moved["sensitivity"].n, moved["sensitivity"].value, moved["specificity"].n) == (3, 0, 5)
    several = each_class(judged(truth, np.array([[0.4, 0.5, 0.1]] * 8)), NAMES[:3])
    assert (several["melanoma"]["sensitivity"].n, several["melanoma"]["specificity"].n) == (3, 5)


def test_a_mean_over_equal_classes_is_worth_all_their_lesions() -> None:
    truth = np.repeat([0, 1, 2], 5)
    found = figures(judged(truth, np.eye(3)[truth] * 0.7 + 0.1), draws=20)
    for name in ("sensitivity", "specificity"):
        assert (found[name].low, found[name].high) == pytest.approx(wilson(1.0, 15))


def test_two_right_calls_of_a_rare_class_leave_a_mean_uncertain() -> None:
    truth = np.repeat([0, 1, 2], [200, 2, 2])
    found = figures(judged(truth, np.eye(3)[truth] * 0.7 + 0.1), draws=20)
    assert found["accuracy"].low > 0.97
    assert found["sensitivity"].low == pytest.approx(wilson(1.0, 9 / (1 / 200 + 1 / 2 + 1 / 2))[0])
    assert found["specificity"].low == pytest.approx(wilson(1.0, 9 / (1 / 4 + 1 / 202 + 1 / 202))[0])


@pytest.mark.parametrize(("counts", "rights"), [((200, 2, 2), (0.98, 0.7, 0.7)), ((60, 8, 3), (0.9, 0.8, 0.6)), ((15, 15, 15), (0.8, 0.8, 0.8))])
def test_the_intervals_of_means_over_unequal_classes_hold_the_truth(counts: tuple[int, ...], rights: tuple[float, ...]) -> None:
    random = np.random.default_rng(11)
    truth = np.repeat(np.arange(3), counts)
    errors = 1 - np.array(rights)
    # whoever errs calls the next class, so that the next class's specificity suffers
    alarms = [errors[one - 1] * counts[one - 1] / (len(truth) - counts[one]) for one in range(3)]
    true = {"sensitivity": float(np.mean(rights)), "specificity": 1 - float(np.mean(alarms))}
    covered = dict.fromkeys(true, 0)
    trials = 200
    for _ in range(trials):
        called = np.where(random.random(len(truth)) < errors[truth], (truth + 1) % 3, truth)
        found = figures(judged(truth, np.eye(3)[called] * 0.7 + 0.1), draws=60)
        for name, value in true.items():
            covered[name] += found[name].low <= value <= found[name].high
    assert min(covered.values()) >= 0.92 * trials, covered
