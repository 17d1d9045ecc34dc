"""Page and card say which temperature is shipped, and where scaling by another one says nothing."""

from typing import Any

from derm_training.reporting.calibration_words import as_shipped, fitted, scaled


def task(of: str = "image", **changes: Any) -> dict[str, Any]:
    found = {"fits": 20, "fits_open": 0, "temperature": 2.0, "open": False} | changes
    return {"temperature": 1.3, "temperature_of": of, "calibration": found}


def test_the_temperature_of_an_image_is_multiplied_by_the_fitted_one() -> None:
    assert as_shipped(task()) == "as shipped (temperature 1.3)"
    assert scaled(task()) == "after temperature scaling fitted on other lesions"
    assert fitted(task()) == "Fitted on all of these images the temperature would be 2.6."


def test_the_temperature_of_windows_is_not_that_of_the_image() -> None:
    assert as_shipped(task("window")) == "as shipped (temperature 1.3 of each window)"
    assert fitted(task("window")).endswith("a further temperature, of the image's own probabilities, would be 2.")


def test_a_fit_without_a_best_temperature_says_nothing() -> None:
    assert "in 19 of 20 fits no temperature from 0.05 to 20 is the best" in scaled(task(fits_open=19))
    assert fitted(task(open=True)) == "On all of these images no temperature from 0.05 to 20 is the best, as where every call is right."
