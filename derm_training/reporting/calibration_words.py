"""What page and card say of a task's calibration: which temperature is shipped, and what scaling by another one shows."""

from typing import Any

from derm_training.measuring.calibration import BOUNDS

Plain = dict[str, Any]

_NONE = f"no temperature from {BOUNDS[0]:g} to {BOUNDS[1]:g} is the best"


def as_shipped(task: Plain) -> str:
    """Name the probabilities that the bundle gives."""
    of = " of each window" if task["temperature_of"] == "window" else ""
    return f"as shipped (temperature {task['temperature']:.3g}{of})"


def scaled(task: Plain) -> str:
    """Name the probabilities after scaling; says so where fits found no best temperature, since their error then tells of the bound."""
    found = task["calibration"]
    if not found["fits_open"]:
        return "after temperature scaling fitted on other lesions"
    return (
        f"after temperature scaling fitted on other lesions, where in {found['fits_open']} of {found['fits']} fits {_NONE}, "
        "as where every call is right: what such a fit gives says nothing of the probabilities"
    )


def fitted(task: Plain) -> str:
    """Say which temperature would fit all the images."""
    found = task["calibration"]
    if found["open"]:
        return f"On all of these images {_NONE}, as where every call is right."
    if task["temperature_of"] == "window":
        return f"Fitted on all of these images a further temperature, of the image's own probabilities, would be {found['temperature']:.3g}."
    return f"Fitted on all of these images the temperature would be {found['temperature'] * task['temperature']:.3g}."
