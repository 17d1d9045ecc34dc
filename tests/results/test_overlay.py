"""What stands over the image: contours and figures in the one form that viewers draw."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import SrClass
from derm_pacs.domain.findings import CaseFindings, Classification, ClassProbability
from derm_pacs.results import readback
from derm_pacs.results.compose import compose


def overlays(kit: Any, case: CaseFindings, *sources: Any) -> list[Composed]:
    objects = compose(case, {one.uid: one.part10 for one in sources}, kit.identity(), kit.edition(), {})
    return [one for one in objects if one.form is Form.OVERLAY_SR]


def overlay(kit: Any, case: CaseFindings, *sources: Any) -> Composed:
    (one,) = overlays(kit, case, *sources)
    return one


def test_each_outlined_image_has_an_overlay_of_its_own_in_a_series_of_its_own(kit: Any) -> None:
    """OHIF opens the image of a report's first outline and offers no way to the others."""
    sources = [kit.Source(), kit.Source(number=2), kit.Source(number=3)]
    made = overlays(kit, kit.whole_case(sources), *sources)
    assert [one.about for one in made] == [(one.uid,) for one in sources]
    read = [pydicom.dcmread(io.BytesIO(one.data)) for one in made]
    assert len({one.series_instance_uid for one in made}) == len({one.SeriesNumber for one in read}) == 3


def regions(one: Composed) -> list[Dataset]:
    def walk(item: Dataset) -> list[Dataset]:
        below = [each for child in item.get("ContentSequence") or [] for each in walk(child)]
        return ([item] if item.get("ValueType") == "SCOORD" else []) + below

    return walk(pydicom.dcmread(io.BytesIO(one.data)))


def test_the_title_is_the_one_that_viewers_draw(kit: Any) -> None:
    source = kit.Source()
    dataset = pydicom.dcmread(io.BytesIO(overlay(kit, kit.whole_case([source]), source).data))
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"


def test_the_figures_are_short_named_per_cent_the_positive_class_first(kit: Any) -> None:
    source = kit.Source()
    (group,) = readback.groups(overlay(kit, kit.whole_case([source], 0.123), source).data)
    area = round(100 * np.count_nonzero(source.mask) / source.mask.size, 1)
    assert [(one.meaning, one.value, one.unit) for one in group.numbers] == [
        ("Melanoma", 12.3, "%"), ("Nevus", 87.7, "%"), ("Lesion area", area, "%"),
    ]


def test_what_rounds_to_zero_is_left_out(kit: Any) -> None:
    source = kit.Source()
    (group,) = readback.groups(overlay(kit, kit.whole_case([source], 0.0004), source).data)
    assert [one.meaning for one in group.numbers] == ["Nevus", "Lesion area"]


def test_at_most_five_figures_stand_beside_a_contour(kit: Any) -> None:
    source = kit.Source()
    names = ["melanoma", "melanocytic_nevus", "basal_cell_carcinoma", "dermatofibroma", "psoriasis", "rosacea"]
    many = Classification(
        output="diagnosis",
        probabilities=tuple(ClassProbability(class_id=name, concept=name, probability=0.1 + 0.02 * n) for n, name in enumerate(names)),
    )
    case = CaseFindings(
        runs=(kit.SEGMENTER, kit.CLASSIFIER),
        findings=(source.finding("a" * 64, [kit.outlined(source.mask)]), source.finding("b" * 64, [many])),
    )
    (group,) = readback.groups(overlay(kit, case, source).data)
    assert [one.meaning for one in group.numbers] == ["Melanoma", "Rosacea", "Psoriasis", "Dermatofibroma", "Lesion area"]


def test_the_identifier_is_ours_even_where_the_image_has_one_that_viewers_react_to(kit: Any) -> None:
    source = kit.Source(attributes=kit.BASIC | {"TrackingUID": "1.2.3", "TrackingID": "Cornerstone3DTools@4.0:Length"})
    one = overlay(kit, kit.whole_case([source]), source)
    (group,) = readback.groups(one.data)
    assert group.tracking_identifier == "Lesion 1"
    assert group.tracking_uid == "1.2.3"
    assert b"Cornerstone" not in one.data


def test_each_group_has_one_closed_contour_around_its_lesion(kit: Any) -> None:
    sources = [kit.Source(rows=600, columns=800), kit.Source(number=2)]
    drawn = [region for one in overlays(kit, kit.whole_case(sources), *sources) for region in regions(one)]
    for source, region in zip(sources, drawn, strict=True):
        points = np.array(region.GraphicData).reshape(-1, 2)
        assert region.GraphicType == "POLYLINE"
        assert len(points) <= 500
        assert np.array_equal(points[0], points[-1])
        rows, columns = np.nonzero(source.mask)
        assert abs(points[:, 0].min() - columns.min()) <= 1 and abs(points[:, 0].max() - columns.max() - 1) <= 1
        assert abs(points[:, 1].min() - rows.min()) <= 1 and abs(points[:, 1].max() - rows.max() - 1) <= 1


def test_a_frame_of_many_is_named(kit: Any) -> None:
    source = kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=3)
    references = [one.ContentSequence[0].ReferencedSOPSequence[0] for one in regions(overlay(kit, kit.whole_case([source]), source))]
    assert [one.ReferencedFrameNumber for one in references] == [1, 2, 3]
    single = kit.Source()
    (region,) = regions(overlay(kit, kit.whole_case([single]), single))
    assert "ReferencedFrameNumber" not in region.ContentSequence[0].ReferencedSOPSequence[0]


def test_no_two_contours_have_one_tracking_uid_because_viewers_would_mix_their_figures(kit: Any) -> None:
    own = kit.BASIC | {"TrackingUID": "1.2.3"}
    sources = [kit.Source(sop_class=kit.MULTI_FRAME_CAPTURE, frames=2, attributes=own), kit.Source(number=2, attributes=own), kit.Source(number=3)]
    groups = [group for one in overlays(kit, kit.whole_case(sources), *sources) for group in readback.groups(one.data)]
    assert len({one.tracking_uid for one in groups}) == len(groups) == 4
    assert [one.tracking_identifier for one in groups] == ["Lesion 1", "Lesion 1", "Lesion 1", "Lesion 2"]


def test_skin_is_not_outlined(kit: Any) -> None:
    source = kit.Source()
    skin = replace(kit.outlined(~source.mask), output="skin", concept="skin")
    case = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [kit.outlined(source.mask), skin]),))
    objects = compose(case, {source.uid: source.part10}, kit.identity(), kit.edition(), {})
    (group,) = readback.groups(objects[1].data)
    assert group.finding == ("95324001", "SCT")
    only_skin = CaseFindings(runs=(kit.SEGMENTER,), findings=(source.finding("a" * 64, [skin]),))
    forms = [one.form for one in compose(only_skin, {source.uid: source.part10}, kit.identity(), kit.edition(), {})]
    assert forms == [Form.SEG, Form.REPORT_SR]


def test_both_classes_of_overlay_hold_one_content_tree_and_no_reference_to_a_seg(kit: Any) -> None:
    source = kit.Source()
    case = kit.whole_case([source])
    made = [kit.composed(case, source, edition=kit.edition(Form.OVERLAY_SR, sr=sr)) for sr in SrClass]
    first, second = (pydicom.dcmread(io.BytesIO(one.data)) for (one,) in made)
    assert str(first.ContentSequence) == str(second.ContentSequence)
    assert (first.SOPClassUID, second.SOPClassUID) == ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33")
