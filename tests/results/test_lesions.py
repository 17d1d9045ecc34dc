"""From images to lesions: which images show one lesion, what they say together, and when it was seen before."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_pacs.domain.composed import Form, Reference
from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    ClassProbability,
    Combine,
    FrameFinding,
    LesionRule,
    Refusal,
    Run,
)
from derm_pacs.domain.visits import Grouping, LesionVisit
from derm_pacs.results import source as sources_of
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.lesions import Lesion, combined, earlier

OWN = {"TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7"}
BACK, ARM = ("66643007", "7771000"), ("371311000", None)


def ruled(kit: Any, combine: Combine | None, **other: Any) -> Run:
    rules = (LesionRule(output="diagnosis", combine=combine),) if combine else ()
    run: Run = replace(kit.CLASSIFIER, lesion_rules=rules, **other)
    return run


def judged(kit: Any, run: Run, probabilities: list[float], *images: Any) -> list[FrameFinding]:
    frames = [(image, frame) for image in images for frame in range(1, image.frames + 1)]
    return [
        image.finding(run.bundle.content_hash, [kit.diagnosis(value)], frame)
        for (image, frame), value in zip(frames, probabilities, strict=True)
    ]


def arranged(kit: Any, case: CaseFindings, *images: Any) -> Arrangement:
    read = {one.uid: sources_of.read(one.part10) for one in images}
    return arrange(case, read, kit.identity().installation_uid)


def tracked(kit: Any, *numbers: int, **attributes: str) -> list[Any]:
    return [kit.Source(number=number, attributes=kit.BASIC | OWN | attributes) for number in numbers]


@pytest.mark.parametrize("combine", [Combine.MEAN, Combine.MAXIMUM])
def test_images_of_one_lesion_give_one_call_by_the_bundles_rule(kit: Any, combine: Combine) -> None:
    images = tracked(kit, 1, 2, 3)
    run = ruled(kit, combine)
    case = CaseFindings(runs=(run,), findings=tuple(judged(kit, run, [0.2, 0.9, 0.7], *images)))
    (lesion,) = arranged(kit, case, *images).lesions
    (call,) = lesion.calls
    assert call.rule is combine
    assert len(call.frames) == 3
    assert call.classification.probability_of("melanoma") == pytest.approx(0.6 if combine is Combine.MEAN else 0.9)
    assert sum(one.probability for one in call.classification.probabilities) == pytest.approx(1)
    assert call.points == run.operating_points


def test_a_lesion_of_one_frame_has_that_frames_call_and_no_rule(kit: Any) -> None:
    image = kit.Source()
    run = ruled(kit, Combine.MEAN)
    case = CaseFindings(runs=(run,), findings=tuple(judged(kit, run, [0.7], image)))
    (lesion,) = arranged(kit, case, image).lesions
    (call,) = lesion.calls
    assert call.rule is None
    assert call.classification is lesion.frames[0].classified[0].classification


def test_frames_of_one_image_are_combined_as_images_are(kit: Any) -> None:
    image = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=3)
    run = ruled(kit, Combine.MAXIMUM)
    case = CaseFindings(runs=(run,), findings=tuple(judged(kit, run, [0.1, 0.8, 0.3], image)))
    (lesion,) = arranged(kit, case, image).lesions
    assert [frame.number for frame in lesion.calls[0].frames] == [1, 2, 3]
    assert lesion.calls[0].classification.probability_of("melanoma") == 0.8


def test_without_a_rule_each_images_call_stands_alone(kit: Any) -> None:
    images = tracked(kit, 1, 2)
    run = ruled(kit, None)
    case = CaseFindings(runs=(run,), findings=tuple(judged(kit, run, [0.2, 0.9], *images)))
    (lesion,) = arranged(kit, case, *images).lesions
    assert lesion.calls == ()


def test_an_image_that_was_refused_does_not_speak_for_its_lesion(kit: Any) -> None:
    images = tracked(kit, 1, 2)
    run = ruled(kit, Combine.MEAN)
    refused = images[1].finding(run.bundle.content_hash, [Refusal(reason="poor_quality_blur")])
    case = CaseFindings(runs=(run,), findings=(*judged(kit, run, [0.2], images[0]), refused))
    (lesion,) = arranged(kit, case, *images).lesions
    assert len(lesion.frames) == 2
    assert (lesion.calls[0].rule, len(lesion.calls[0].frames)) == (None, 1)


def test_the_maximum_without_a_threshold_decides_nothing_and_with_two_gives_a_call_for_each_watched_class(kit: Any) -> None:
    images = tracked(kit, 1, 2)
    unwatched = ruled(kit, Combine.MAXIMUM, operating_points=())
    case = CaseFindings(runs=(unwatched,), findings=tuple(judged(kit, unwatched, [0.2, 0.9], *images)))
    assert arranged(kit, case, *images).lesions[0].calls == ()
    (point,) = kit.CLASSIFIER.operating_points
    both = ruled(kit, Combine.MAXIMUM, operating_points=(point, replace(point, id="nevus", positive="nevus")))
    case = CaseFindings(runs=(both,), findings=tuple(judged(kit, both, [0.2, 0.9], *images)))
    first, second = arranged(kit, case, *images).lesions[0].calls
    assert first.classification.probability_of("melanoma") == 0.9
    assert [one.positive for one in first.points] == ["melanoma"]
    assert second.classification.probability_of("nevus") == 0.8
    assert [one.positive for one in second.points] == ["nevus"]


def test_without_a_tracking_uid_each_image_is_a_lesion_even_at_one_place(kit: Any) -> None:
    images = [kit.Source(number=number, attributes=kit.BASIC | kit.skin_of_back()) for number in (1, 2)]
    told = arranged(kit, kit.whole_case(images), *images)
    assert [one.lesion.number for one in told.lesions] == [1, 2]
    assert not any(one.lesion.tracked for one in told.lesions)


def test_by_setting_images_of_one_place_and_side_are_one_lesion_and_of_the_other_side_another(kit: Any) -> None:
    places = [kit.skin_of_back(), kit.skin_of_back(), kit.skin_of_back("24028007"), {}, {}]
    images = [kit.Source(number=number, attributes=kit.BASIC | place) for number, place in enumerate(places, 1)]
    case = replace(kit.whole_case(images), grouping=Grouping.SITE)
    told = arranged(kit, case, *images)
    assert [[frame.image.uid for frame in one.frames] for one in told.lesions] == [
        [images[0].uid, images[1].uid], [images[2].uid], [images[3].uid], [images[4].uid],
    ]


def test_an_image_with_a_tracking_uid_is_never_grouped_by_its_place(kit: Any) -> None:
    images = [
        kit.Source(number=1, attributes=kit.BASIC | kit.skin_of_back() | OWN),
        kit.Source(number=2, attributes=kit.BASIC | kit.skin_of_back()),
    ]
    told = arranged(kit, replace(kit.whole_case(images), grouping=Grouping.SITE), *images)
    assert [one.lesion.tracked for one in told.lesions] == [True, False]


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=6),
    rule=st.sampled_from(Combine), data=st.data(),
)
def test_what_images_say_together_lies_between_what_they_say_alone(
    values: list[list[float]], rule: Combine, data: st.DataObject
) -> None:
    each = [
        Classification(output="o", probabilities=tuple(
            ClassProbability(class_id=name, concept=name, probability=value / sum(row)) for name, value in zip("abc", row, strict=True)
        ))
        for row in values
    ]  # fmt: skip
    together = combined(each, rule, "b")
    assert together is not None
    assert sum(one.probability for one in together.probabilities) == pytest.approx(1)
    for name in "abc":
        alone = [one.probability_of(name) for one in each]
        assert min(alone) - 1e-12 <= together.probability_of(name) <= max(alone) + 1e-12
    if rule is Combine.MAXIMUM:
        assert together.probability_of("b") == max(one.probability_of("b") for one in each)
    else:
        turned = combined(data.draw(st.permutations(each)), rule, "b")
        assert turned is not None
        assert turned.probability_of("a") == pytest.approx(together.probability_of("a"))


def test_images_whose_classes_differ_are_not_combined() -> None:
    one = Classification(output="o", probabilities=(ClassProbability(class_id="a", concept="acne", probability=1.0),))
    two = Classification(output="o", probabilities=(ClassProbability(class_id="b", concept="acne", probability=1.0),))
    assert combined([one, two], Combine.MEAN, None) is None


def visit(tracking_uid: str, study: str, when: date | None, **other: Any) -> LesionVisit:
    report = Reference(
        form=Form.REPORT_SR, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid=f"2.25.{study[-1]}1",
        series_instance_uid="2.25.2", study_instance_uid=study,
    )
    values: dict[str, Any] = {
        "tracking_uid": tracking_uid, "tracked": True, "site": None, "laterality": None, "study_instance_uid": study,
        "study_date": when, "report": report, "images": (), "probabilities": (), "area": None, "diameter": None, "share": 0.1,
        "outlined_by": ("a" * 64,),
    }
    return LesionVisit(**(values | other))


def found(lesion: Lesion, places: dict[str, Any], visits: list[LesionVisit], grouping: Grouping = Grouping.SITE) -> LesionVisit | None:
    return earlier(lesion, places, visits, study_uid="1.9", study_date=date(2026, 11, 20), grouping=grouping)


MOLE = Lesion(number=1, tracking_uid="1.2.3", tracking_id="mole", tracked=True)
UNTRACKED = Lesion(number=1, tracking_uid="2.25.77", tracking_id="Lesion 1", tracked=False)


def test_the_newest_visit_of_the_tracking_uid_is_the_earlier_one_and_a_later_or_the_same_study_is_not() -> None:
    old, newer = visit("1.2.3", "1.1", date(2024, 1, 1)), visit("1.2.3", "1.2", date(2025, 1, 1))
    undated, later = visit("1.2.3", "1.3", None), visit("1.2.3", "1.4", date(2027, 1, 1))
    same, other = visit("1.2.3", "1.9", date(2026, 11, 20)), visit("1.2.4", "1.5", date(2026, 1, 1))
    visits = [newer, old, undated, later, same, other]
    for grouping in Grouping:
        assert found(MOLE, {"1.2.3": None}, visits, grouping) is newer
    assert found(MOLE, {"1.2.3": None}, [undated]) is undated
    assert found(MOLE, {"1.2.3": None}, [later, same, other]) is None


def test_by_setting_the_place_finds_the_visit_where_one_lesion_of_each_study_is_there() -> None:
    there = visit("2.25.5", "1.1", date(2025, 1, 1), tracked=False, site=BACK[0], laterality=BACK[1])
    assert found(UNTRACKED, {"2.25.77": BACK}, [there]) is there
    assert found(UNTRACKED, {"2.25.77": BACK}, [there], Grouping.TRACKING) is None
    assert found(UNTRACKED, {"2.25.77": ARM}, [there]) is None
    assert found(UNTRACKED, {"2.25.77": None}, [there]) is None
    assert found(UNTRACKED, {"2.25.77": BACK, "2.25.78": BACK}, [there]) is None
    second = replace(there, tracking_uid="2.25.6")
    assert found(UNTRACKED, {"2.25.77": BACK}, [there, second]) is None


def test_the_other_side_of_the_body_is_another_place() -> None:
    left = visit("2.25.5", "1.1", date(2025, 1, 1), tracked=False, site=BACK[0], laterality=BACK[1])
    assert found(UNTRACKED, {"2.25.77": (BACK[0], "24028007")}, [left]) is None


def test_lesions_that_the_images_of_both_visits_name_differently_are_not_compared_for_being_at_one_place() -> None:
    there = visit("1.2.4", "1.1", date(2025, 1, 1), site=BACK[0], laterality=BACK[1])
    assert found(MOLE, {"1.2.3": BACK}, [there]) is None
    assert found(UNTRACKED, {"2.25.77": BACK}, [there]) is there
