"""SIMULATED readers: calls drawn from labels by a seed, to show a comparison where no single readers' data is public.

They say nothing about people. Each reader perceives an image as its truth times a skill plus what is hard about the image
(the same for all readers) plus a noise of the reader's own, and calls it positive above a criterion of the reader's own:
the equal-variance binormal model of signal detection (Green and Swets 1966) with correlated readers.
"""

import numpy as np
from numpy.typing import NDArray

from derm_training.readers.class_readers import Caller, ClassStudy
from derm_training.readers.reader_tables import Reader, Study

MARK = "SIMULATED"
"""Stands in the name and rank of every simulated reader, and so in every table, plot and title made with them."""

_SKILL = {"attending": 1.9, "resident": 1.5}  # distance of the means in standard deviations, chosen by us
_SPREAD_OF_SKILL = 0.3
_CRITERION = 0.3  # times the skill: below one half, since readers of melanoma prefer false alarms
_SPREAD_OF_CRITERION = 0.35
_SHARED = 0.5  # share of the variance that an image brings for all readers


def simulated(truth: NDArray[np.int8], readers: int, seed: int) -> tuple[Reader, ...]:
    """Return so many readers of images with truth (N,), every third an attending; the same seed gives the same calls."""
    random = np.random.default_rng(seed)
    hard = random.normal(size=len(truth)) * np.sqrt(_SHARED)
    made = []
    for number in range(1, readers + 1):
        rank = "attending" if number % 3 == 1 else "resident"
        skill = _SKILL[rank] + random.normal() * _SPREAD_OF_SKILL
        criterion = _CRITERION * skill + random.normal() * _SPREAD_OF_CRITERION
        seen = truth * skill + hard + random.normal(size=len(truth)) * np.sqrt(1 - _SHARED)
        made.append(
            Reader(
                name=f"{MARK} reader {number:03d}", rank=f"{MARK} {rank}", calls=(seen > criterion).astype(np.int8)
            )
        )
    return tuple(made)


def with_simulated_readers(study: Study, readers: int, seed: int) -> Study:
    """Return the study with simulated readers in place of its own, its notes saying so."""
    return Study(
        title=study.title,
        truth=study.truth,
        scores=study.scores,
        groups=study.groups,
        readers=simulated(study.truth, readers, seed),
        notes=(*_notes(readers, seed), *study.notes),
    )


def with_simulated_class_readers(study: ClassStudy, readers: int, seed: int) -> ClassStudy:
    """Return the study of several classes with simulated readers in place of its own, its notes saying so.

    A reader sees the truth of an image where a coin falls so, which is drawn between what is hard about the image and the
    reader's own skill, and one of the other classes by chance where it does not.
    """
    random = np.random.default_rng(seed)
    count, easy = len(study.truth), random.random(len(study.truth))
    made = []
    for number in range(1, readers + 1):
        skill = random.uniform(0.6, 0.95)
        # the mean of two uniform numbers is below this with the probability `skill`, which is at least one half
        seen = (easy + random.random(count)) / 2 < 1 - np.sqrt((1 - skill) / 2)
        other = (study.truth + random.integers(1, len(study.classes), count)) % len(study.classes)
        made.append(Caller(name=f"{MARK} reader {number:03d}", rank=MARK, calls=np.where(seen, study.truth, other)))
    return ClassStudy(
        title=study.title,
        classes=study.classes,
        truth=study.truth,
        groups=study.groups,
        algorithm=study.algorithm,
        readers=tuple(made),
        notes=(*_notes(readers, seed), *study.notes),
    )


def _notes(readers: int, seed: int) -> tuple[str, str]:
    return (
        f"The {readers} readers are {MARK} from the labels with seed {seed}.",
        "Their figures show how the comparison is made, and say nothing about people nor about the algorithm beside people.",
    )


def is_simulated(study: Study | ClassStudy) -> bool:
    """Say whether a reader of the study bears the mark."""
    return any(MARK in one.name for one in study.readers)


def marked(study: Study | ClassStudy) -> str:
    """Return the study's title, with the mark where it has simulated readers: also where their calls were read from a table."""
    return f"{study.title}: {MARK} READERS" if is_simulated(study) else study.title
