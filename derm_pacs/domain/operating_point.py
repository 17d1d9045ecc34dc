"""The call that follows from a probability and an operating point."""

from collections.abc import Iterable

from derm_pacs.domain.findings import Classification, ClassProbability, OperatingPoint


def is_positive(classification: Classification, point: OperatingPoint) -> bool:
    """Return whether the positive class's probability is at or above the threshold.

    Raises `KeyError` where the output lacks the operating point's class.
    """
    return classification.probability_of(point.positive) >= point.threshold


def call(classification: Classification, point: OperatingPoint) -> str:
    """Return the class id that is called: the positive class, else the most probable of the others."""
    if is_positive(classification, point):
        return point.positive
    others = [one for one in classification.probabilities if one.class_id != point.positive]
    return max(others, key=lambda one: one.probability).class_id


def called_first(classification: Classification, points: Iterable[OperatingPoint]) -> list[ClassProbability]:
    """Return the classes in the order in which a person is told of them: those called, in the points' order, then from the most probable on."""
    called = list(dict.fromkeys(call(classification, point) for point in points))
    by_probability = sorted(classification.probabilities, key=lambda one: -one.probability)
    return sorted(by_probability, key=lambda one: called.index(one.class_id) if one.class_id in called else len(called))
