"""What the figures of a task support and what they do not, in plain sentences composed from the numbers."""

from typing import Any

Plain = dict[str, Any]

RESEARCH_USE = "For research use; not for primary diagnosis."


def statement(task: Plain) -> list[str]:
    """Return a few sentences; `task` as in the report, without its statement."""
    sentences = [*_drawn_by_program(task), _size(task), *_beside_simple_means(task)]
    if task["kind"] == "classification":
        sentences += [*_calibrated(task), *_prevalence(task)]
    if task["leak"]:
        sentences.append(f"Split as in the paper, at random by image: {task['leak']}. Figures of such a split are too good.")
    return sentences


def _main(task: Plain) -> tuple[str, str]:
    return ("jaccard", "mean Jaccard index") if task["kind"] == "segmentation" else ("auc", "area under the ROC curve")


def _drawn_by_program(task: Plain) -> list[str]:
    if not task["synthetic"]:
        return []
    return ["SYNTHETIC: a program drew these images. The figures show that the system works as a whole; they say nothing about patients."]


def images_counted(task: Plain) -> str:
    """Return how many images of how many lesions were measured, and how many of them name no lesion and stand for one each."""
    images = f"{task['n']} image{'s' if task['n'] > 1 else ''}"
    if task["lesion_unnamed"] == task["n"]:
        return f"{images} that name no lesion"
    lesions = f"{images} of {task['lesions']} lesion{'s' if task['lesions'] > 1 else ''}"
    return f"{lesions} ({task['lesion_unnamed']} name none and count as one each)" if task["lesion_unnamed"] else lesions


def _size(task: Plain) -> str:
    key, words = _main(task)
    count = images_counted(task)
    overall = task["overall"]
    if overall[key] is None:
        return f"{count} of one class only: no {words} can be given, and a share of right calls alone says little."
    low, high = overall[f"{key}_ci"]
    if low is None:
        return f"{count}: no interval can be given for the {words}, since too little shows by how much one lesion differs from another."
    spread = f"With {count} the {words} is known to lie between {low:.2f} and {high:.2f} (95 %)"
    if high - low > 0.15:
        return f"{spread}: too wide to rank this network against another."
    return f"{spread}, for images from these same sources; other cameras, clinics and skin types were not measured."


def _beside_simple_means(task: Plain) -> list[str]:
    key = "jaccard_over_baseline" if task["kind"] == "segmentation" else "auc_over_baseline"
    simple = "simple thresholding or an ellipse in the middle" if task["kind"] == "segmentation" else "colour alone"
    overall = task["overall"]
    if overall.get(key) is None:
        return [] if task["kind"] == "segmentation" else ["No baseline stands beside the figures: the table has no training images of each class."]
    sources = {name: part for name, part in task["per_source"].items() if part.get(key) is not None}
    shown = [name for name, part in sources.items() if part[f"{key}_ci"][0] is not None and part[f"{key}_ci"][0] > 0]
    if overall[f"{key}_ci"][0] is None:
        return []
    if elsewhere := task.get("baseline_learned_elsewhere"):
        return [f"Colour alone was learned from other images than these ({_listed(elsewhere)}): its figures stand for no simple means here, and nothing is said beside them."]
    if overall[f"{key}_ci"][0] <= 0:
        verdict = f"That the network is better than {simple} is not shown (difference {_signed(overall, key)})."
    else:
        verdict = f"The network is better than {simple} (difference {_signed(overall, key)})."
    if len(sources) < 2:
        return [verdict]
    open_ones = [name for name in sources if name not in shown]
    if not open_ones:
        return [f"{verdict} That holds in every source by itself."]
    by_itself = f"by itself it is shown for {_listed(shown)}" if shown else "by itself it is shown for no source"
    return [f"{verdict[:-1]}; {by_itself}, not for {_listed(open_ones)}."]


def _signed(part: Plain, key: str) -> str:
    low, high = part[f"{key}_ci"]
    return f"{part[key]:+.3f}, {low:+.3f} to {high:+.3f}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def _calibrated(task: Plain) -> list[str]:
    found = task["calibration"]
    if found["ece_scaled"] is None:
        return []
    if found["ece"] <= found["ece_by_chance_most"]:
        return [(
            f"The calibration error, {found['ece']:.3f}, is no more than right probabilities would show by chance on so many images (at most "
            f"{found['ece_by_chance_most']:.3f}); an error of that size would not be noticed here, and with another mixture of classes it differs."
        )]  # fmt: skip
    return [
        f"The calibration error, {found['ece']:.3f}, is more than right probabilities would show (at most {found['ece_by_chance_most']:.3f}): read them as a score for ranking, not as a chance of disease."
    ]


def _prevalence(task: Plain) -> list[str]:
    if task["positive"] is None or task["synthetic"]:  # a program's mixture of classes has no counterpart in a clinic
        return []
    share = task["counts"][task["positive"]] / task["n"]
    points = {point["id"]: point for point in task["operating_points"]}
    every = points.get("sensitivity 100 %")
    sentences = []
    if share > 0.1:
        sentences.append(f"{100 * share:.0f} % of these images are {task['positive']}; where it is rarer, as in a clinic, the share of false alarms among the calls is higher.")
    if every is not None and every["specificity"] is not None:
        sentences.append(f"Sensitivity 100 % on these images costs specificity down to {100 * every['specificity']:.0f} %; on others the same threshold would miss some.")
    return sentences
