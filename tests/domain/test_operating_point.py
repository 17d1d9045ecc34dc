"""The call follows from the probability and the threshold in force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.findings import Classification, ClassProbability, OperatingPoint
from derm_pacs.domain.operating_point import call, called_first, is_positive


def classification(**probabilities: float) -> Classification:
    return Classification(
        output="diagnosis",
        probabilities=tuple(
            ClassProbability(class_id=name, concept=name, probability=value) for name, value in probabilities.items()
        ),
    )


def point(threshold: float, positive: str = "melanoma") -> OperatingPoint:
    return OperatingPoint(id="default", output="diagnosis", positive=positive, threshold=threshold, set_by="lead")


@pytest.mark.parametrize(
    ("probability", "threshold", "expected"), [(0.5, 0.5, True), (0.499, 0.5, False), (0.0, 0.0, True), (1.0, 1.0, True)]
)
def test_at_or_above_the_threshold_is_positive(probability: float, threshold: float, *, expected: bool) -> None:
    seen = classification(melanoma=probability, nevus=1 - probability)
    assert is_positive(seen, point(threshold)) is expected
    assert call(seen, point(threshold)) == ("melanoma" if expected else "nevus")


def test_a_low_threshold_calls_the_positive_class_though_another_is_more_probable() -> None:
    assert call(classification(melanoma=0.2, nevus=0.7, keratosis=0.1), point(0.15)) == "melanoma"


def test_below_the_threshold_the_most_probable_of_the_others_is_called() -> None:
    assert call(classification(melanoma=0.6, nevus=0.1, keratosis=0.3), point(0.9)) == "keratosis"


@pytest.mark.parametrize(
    ("threshold", "told"),
    [(0.15, ["melanoma", "nevus", "keratosis"]), (0.5, ["nevus", "melanoma", "keratosis"])],
)
def test_a_person_is_told_of_the_called_class_first_then_of_the_most_probable(threshold: float, told: list[str]) -> None:
    seen = classification(keratosis=0.1, melanoma=0.2, nevus=0.7)
    assert [one.class_id for one in called_first(seen, [point(threshold)])] == told


def test_of_several_operating_points_the_call_of_the_first_is_told_first() -> None:
    seen = classification(melanoma=0.4, nevus=0.6)
    assert [one.class_id for one in called_first(seen, [point(0.3), point(0.8)])] == ["melanoma", "nevus"]
    assert [one.class_id for one in called_first(seen, [point(0.8), point(0.3)])] == ["nevus", "melanoma"]


def test_without_an_operating_point_the_most_probable_class_is_first() -> None:
    assert [one.class_id for one in called_first(classification(melanoma=0.2, nevus=0.8), [])] == ["nevus", "melanoma"]


def test_a_class_that_the_output_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="basal_cell"):
        is_positive(classification(melanoma=1.0, nevus=0.0), point(0.5, "basal_cell"))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_makes_a_negative_positive(probability: float, low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    seen = classification(melanoma=probability, nevus=1 - probability)
    assert is_positive(seen, point(low)) or not is_positive(seen, point(high))
