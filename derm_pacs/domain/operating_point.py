"""The call that follows from a probability and an operating point."""

from derm_pacs.domain.findings import Classification, OperatingPoint


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
