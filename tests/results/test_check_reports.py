"""The last look at structured reports: every kind of damage is found, in the tree, the references and the figures."""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, Combine, LesionRule, Refusal
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results.visits import lesion_visits

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies

EARLIER = "1.2.826.0.1.3680043.10.999.71"
Change = Callable[[Dataset], None]


class Whole:
    """A study with everything that a report can say: two images of a lesion seen before, one more lesion, a refusal."""

    def __init__(self, kit: Any) -> None:
        own = kit.BASIC | kit.skin_of_back() | {
            "TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7", "PixelSpacing": [0.05, 0.05], "PixelSpacingCalibrationType": "FIDUCIAL",
        }
        before = kit.Source(study=EARLIER, date="20260501", rows=45, columns=60, attributes=own)
        visits = lesion_visits(kit.whole_case([before], 0.5), kit.parts(before), kit.identity(), kit.edition())
        self.sources = [kit.Source(attributes=own), kit.Source(number=2, attributes=own), kit.Source(number=3)]
        run = replace(kit.CLASSIFIER, lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MEAN),))
        case: CaseFindings = kit.whole_case(self.sources)
        refused = kit.Source(number=4)
        self.sources.append(refused)
        findings = (*case.findings, refused.finding("b" * 64, [Refusal(reason="poor_quality_blur")]))
        self.case = replace(case, runs=(kit.SEGMENTER, run), findings=findings, visits=visits, unreadable=("1.2.99",))
        predecessors = tuple(
            Reference(
                form=form, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid=f"2.25.{number}",
                series_instance_uid="2.25.9", study_instance_uid=kit.STUDY,
            )
            for number, form in ((11, Form.OVERLAY_SR), (12, Form.REPORT_SR))
        )
        self.identity = kit.identity(revision=2, predecessors=predecessors)
        self.objects = kit.composed(self.case, *self.sources, identity=self.identity)


@pytest.fixture(scope="module")
def whole(kit: Any) -> Whole:
    return Whole(kit)


def below(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from below(child)


def named(item: Dataset, meaning: str) -> list[Dataset]:
    """Items of the tree by the meaning of their names."""
    return [one for one in below(item) if one.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def group(item: Dataset, finding: str, containing: str) -> Dataset:
    """The first group with that finding and with an item of that name."""
    return next(
        one for one in named(item, "Measurement Group")
        if named(one, "Finding")[0].ConceptCodeSequence[0].CodeMeaning == finding and named(one, containing)
    )  # fmt: skip


def without(meaning: str) -> Change:
    def change(dataset: Dataset) -> None:
        for parent in (dataset, *below(dataset)):
            kept = [one for one in parent.get("ContentSequence") or [] if one.ConceptNameCodeSequence[0].CodeMeaning != meaning]
            if "ContentSequence" in parent and len(kept) < len(parent.ContentSequence):
                parent.ContentSequence = kept
                return

    return change


def number(finding: str, name: str, value: str) -> Change:
    def change(dataset: Dataset) -> None:
        measured = named(group(dataset, finding, name), name)[0].MeasuredValueSequence[0]
        measured.NumericValue = value
        if "FloatingPointValue" in measured:
            measured.FloatingPointValue = float(value)

    return change


def coded(meaning: str, value: str, scheme: str, said: str) -> Change:
    def change(dataset: Dataset) -> None:
        item = named(dataset, meaning)[0].ConceptCodeSequence[0]
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, said

    return change


def attribute(meaning: str, keyword: str, value: Any) -> Change:
    def change(dataset: Dataset) -> None:
        setattr(named(dataset, meaning)[0], keyword, value)

    return change


def own(keyword: str, value: Any) -> Change:
    return lambda dataset: setattr(dataset, keyword, value)


def summary_last(dataset: Dataset) -> None:
    items = list(dataset.ContentSequence)
    items.append(items.pop(items.index(named(dataset, "Summary")[0])))
    dataset.ContentSequence = items


def another_title(dataset: Dataset) -> None:
    dataset.ConceptNameCodeSequence[0].CodeValue, dataset.ConceptNameCodeSequence[0].CodeMeaning = "126001", "Imaging Report"


def another_meaning(dataset: Dataset) -> None:
    named(dataset, "Probability")[0].ConceptNameCodeSequence[0].CodeMeaning = "Certainty"


def a_code_of_nobody(dataset: Dataset) -> None:
    named(dataset, "Probability")[0].ConceptNameCodeSequence[0].CodeValue = "999999"


def another_unit(dataset: Dataset) -> None:
    unit = named(dataset, "Area")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue, unit.CodeMeaning = "{pixels}", "pixels"


def one_group_less(dataset: Dataset) -> None:
    measurements = named(dataset, "Imaging Measurements")[0]
    measurements.ContentSequence = list(measurements.ContentSequence)[:-1]


def two_groups_in_turn(dataset: Dataset) -> None:
    measurements = named(dataset, "Imaging Measurements")[0]
    first, second, *others = measurements.ContentSequence
    measurements.ContentSequence = [second, first, *others]


def no_groups(dataset: Dataset) -> None:
    named(dataset, "Imaging Measurements")[0].ContentSequence = []


def one_number_more(dataset: Dataset) -> None:
    a_group = group(dataset, "Skin lesion", "Area")
    a_group.ContentSequence = [*a_group.ContentSequence, named(a_group, "Area")[0]]


def one_image_less(dataset: Dataset) -> None:
    a_group = group(dataset, "Melanoma", "Images combined by")
    a_group.ContentSequence.remove(named(a_group, "Source of Measurement")[-1])


def another_segment(dataset: Dataset) -> None:
    named(dataset, "Referenced Segmentation Frame")[0].ReferencedSOPSequence[0].ReferencedFrameNumber = 2


def another_hash(dataset: Dataset) -> None:
    next(one for one in named(dataset, "Algorithm Parameters") if "sha256" in str(one.TextValue)).TextValue = "sha256=" + "0" * 64


def no_image(dataset: Dataset) -> None:
    without("Source of Measurement")(group(dataset, "Image Quality", "Source of Measurement"))


def a_frame_that_is_not_there(dataset: Dataset) -> None:
    named(dataset, "Source of Measurement")[0].ReferencedSOPSequence[0].ReferencedFrameNumber = 2


def one_evidence_less(dataset: Dataset) -> None:
    series = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    del series[-1].ReferencedSOPSequence[-1]


def another_series(dataset: Dataset) -> None:
    dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.77"


def another_study(dataset: Dataset) -> None:
    dataset.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = "1.2.77"


def prior_in_this_study(dataset: Dataset) -> None:
    dataset.PertinentOtherEvidenceSequence[0].StudyInstanceUID = dataset.StudyInstanceUID


def no_prior_evidence(dataset: Dataset) -> None:
    del dataset.PertinentOtherEvidenceSequence


def prior_of_another_class(dataset: Dataset) -> None:
    for one in named(dataset, "Prior report for current patient"):
        one.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"


def no_predecessor(dataset: Dataset) -> None:
    del dataset.PredecessorDocumentsSequence


def another_predecessor(dataset: Dataset) -> None:
    dataset.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.11"


def moved_contour(dataset: Dataset) -> None:
    region = named(dataset, "Image Region")[0]
    region.GraphicData = [value + 1 for value in region.GraphicData]


def one_figure_less(dataset: Dataset) -> None:
    a_group = named(dataset, "Measurement Group")[0]
    a_group.ContentSequence.remove(named(a_group, "Nevus")[0])


def figures_of_another_name(dataset: Dataset) -> None:
    first, second = named(dataset, "Melanoma")[0], named(dataset, "Nevus")[0]
    first.ConceptNameCodeSequence, second.ConceptNameCodeSequence = second.ConceptNameCodeSequence, first.ConceptNameCodeSequence


REPORT_TREE: list[tuple[str, Change, str]] = [
    ("another observer", attribute("Device Observer UID", "UID", "2.25.42"), "the observer is not this installation"),
    ("no observer UID", without("Device Observer UID"), "device_observer_uid does not stand once"),
    ("a person observed", coded("Observer Type", "121006", "DCM", "Person"), "observer_type is not 121007"),
    ("no observer type", without("Observer Type"), "observer_type does not stand once"),
    ("no language", without("Language of Content Item and Descendants"), "language does not stand once"),
    ("another language", coded("Language of Content Item and Descendants", "de", "RFC5646", "German"), "language is not en-US"),
    ("no procedure", without("Procedure reported"), "procedure_reported does not stand once"),
    ("no summary", without("Summary"), "summary does not stand once"),
    ("summary at the end", summary_last, "the summary does not come first"),
    ("summary without words", attribute("Summary", "TextValue", "Everything is fine."), "or does not say research use"),
    ("no library", without("Image Library"), "image_library does not stand once"),
    ("no measurements", without("Imaging Measurements"), "imaging_measurements does not stand once"),
    ("no groups", no_groups, "there is no measurement group"),
    ("no tracking identifier", without("Tracking Identifier"), "tracking_identifier does not stand once"),
    ("no tracking UID", without("Tracking Unique Identifier"), "tracking_uid does not stand once"),
    ("illegal tracking UID", attribute("Tracking Unique Identifier", "UID", "1.02"), "a tracking UID is not legal"),
    ("no finding", without("Finding"), "finding does not stand once"),
    ("no comment", without("Comment"), "comment does not stand once"),
    ("comment without words", attribute("Comment", "TextValue", "Melanoma."), "a comment does not say research use"),
    ("no image", no_image, "refers to no image"),
    ("no relation", attribute("Tracking Unique Identifier", "RelationshipType", "CONTAINS"), "not as its template says"),
    ("another value type", attribute("Tracking Identifier", "ValueType", "UIDREF"), "not as its template says"),
    ("another template", lambda d: setattr(named(d, "Measurement Group")[0].ContentTemplateSequence[0], "TemplateIdentifier", "1411"), "no template of ours"),
    ("root template", lambda d: setattr(d.ContentTemplateSequence[0], "TemplateIdentifier", "2000"), "not TID 1500"),
    ("continuous", attribute("Imaging Measurements", "ContinuityOfContent", "CONTINUOUS"), "not SEPARATE"),
    ("another title", another_title, "the title is not"),
    ("final", own("PreliminaryFlag", "FINAL"), "the flags do not say"),
    ("verified", own("VerificationFlag", "VERIFIED"), "the flags do not say"),
    ("partial", own("CompletionFlag", "PARTIAL"), "the flags do not say"),
    ("another meaning", another_meaning, "the code 122157 DCM does not mean what the table says"),
    ("a code of nobody", a_code_of_nobody, "the code 999999 DCM does not mean what the table says"),
    ("a site that no image names", coded("Finding Site", "66643007", "SCT", "Skin of front"), "the code 66643007 SCT does not mean"),
]  # fmt: skip

REPORT_REFERENCES: list[tuple[str, Change, str]] = [
    ("one evidence less", one_evidence_less, "CurrentRequestedProcedureEvidenceSequence does not list"),
    ("another series", another_series, "names another series"),
    ("another study", another_study, "CurrentRequestedProcedureEvidenceSequence names another study"),
    ("no earlier evidence", no_prior_evidence, "PertinentOtherEvidenceSequence does not list"),
    ("earlier report in this study", prior_in_this_study, "PertinentOtherEvidenceSequence names another study"),
    ("earlier report of another class", prior_of_another_class, "or is of another class"),
    ("no predecessor", no_predecessor, "PredecessorDocumentsSequence does not name"),
    ("another predecessor", another_predecessor, "PredecessorDocumentsSequence does not name"),
    ("a frame that is not there", a_frame_that_is_not_there, "refers to a frame that"),
]

REPORT_FIGURES: list[tuple[str, Change, str]] = [
    ("probability", number("Melanoma", "Probability", "0.5"), "what was found: probability"),
    ("threshold", number("Melanoma", "Threshold Value", "0.4"), "threshold_value"),
    ("certainty", number("Melanoma", "Certainty of Finding", "87.2"), "certainty_of_finding"),
    ("area", number("Skin lesion", "Area", "2.5"), "what was found: area"),
    ("diameter", number("Skin lesion", "Diameter", "2.0"), "what was found: diameter"),
    ("perimeter", number("Skin lesion", "Perimeter", "6.0"), "what was found: perimeter"),
    ("share", number("Skin lesion", "Share of the image", "21.0"), "what was found: share_of_image"),
    ("change of area", number("Skin lesion", "Change of the area since the earlier study", "1.0"), "change_of_area"),
    ("change of diameter", number("Skin lesion", "Change of the diameter since the earlier study", "1.0"), "change_of_diameter"),
    ("change of share", number("Skin lesion", "Change of the share of the image since the earlier study", "1.0"), "change_of_share"),
    ("change of probability", number("Melanoma", "Change of the probability since the earlier study", "0.1"), "change_of_probability"),
    ("impossible probability", number("Melanoma", "Probability", "1.2"), "the figure Probability cannot be 1.2"),
    ("impossible certainty", number("Melanoma", "Certainty of Finding", "120"), "the figure Certainty of Finding cannot be 120"),
    ("area beyond the image", number("Skin lesion", "Area", "12.1"), "the figure Area cannot be 12.1 mm2"),
    ("diameter beyond the image", number("Skin lesion", "Diameter", "5.1"), "the figure Diameter cannot be 5.1 mm"),
    ("negative perimeter", number("Skin lesion", "Perimeter", "-1"), "the figure Perimeter cannot be -1 mm"),
    ("another unit", another_unit, "which figures"),
    ("one figure more", one_number_more, "which figures"),
    ("one group less", one_group_less, "groups for"),
    ("two groups in turn", two_groups_in_turn, "what was found: finding"),
    ("another finding", coded("Finding", "400096001", "SCT", "Melanocytic nevus"), "what was found: finding"),
    ("another call", coded("Classifier call", "400096001", "SCT", "Melanocytic nevus"), "evaluations"),
    ("another rule", coded("Images combined by", "RULE-MAXIMUM", "99DERMPACS", "Image with the highest probability"), "evaluations"),
    ("no rule", without("Images combined by"), "evaluations"),
    ("another reason", coded("Not analysed, because", "NA-OTHER", "99DERMPACS", "Another reason, see comment"), "evaluations"),
    ("the other side", coded("Laterality", "24028007", "SCT", "Right"), "finding site"),
    ("no site", without("Finding Site"), "finding site"),
    ("one image less", one_image_less, "images"),
    ("no earlier report", without("Prior report for current patient"), "earlier report"),
    ("another lesion", attribute("Tracking Unique Identifier", "UID", "1.2.3.4.6"), "tracking UID"),
    ("another version", attribute("Algorithm Version", "TextValue", "1.2.1"), "algorithm"),
    ("another hash", another_hash, "algorithm"),
    ("no segment", another_segment, "refers to another segment"),
]

OVERLAY: list[tuple[str, Change, str]] = [
    ("moved contour", moved_contour, "is not that of the mask"),
    ("one figure less", one_figure_less, "are not the 3 that belong there"),
    ("figures of another name", figures_of_another_name, "are not the 3 that belong there"),
    ("another finding", coded("Finding", "39937001", "SCT", "Skin"), "names another finding"),
    ("another image", lambda d: setattr(named(d, "Source")[0].ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", "1.2.826.0.1.3680043.10.999.1.7.2"), "which it is not about"),
    ("another observer", attribute("Device Observer UID", "UID", "2.25.42"), "the observer is not this installation"),
    ("another title", lambda d: setattr(d.ConceptNameCodeSequence[0], "CodeValue", "126001"), "the title is not"),
    ("illegal tracking UID", attribute("Tracking Unique Identifier", "UID", "2.025"), "a tracking UID is not legal"),
    ("no predecessor", no_predecessor, "PredecessorDocumentsSequence does not name"),
]  # fmt: skip


def changed(one: Composed, change: Change) -> Composed:
    dataset = pydicom.dcmread(io.BytesIO(one.data))
    change(dataset)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    assert data != one.data, "the damage did nothing"
    return replace(one, data=data, sha256=hashlib.sha256(data).hexdigest())


def said_of(kit: Any, whole: Whole, form: Form, change: Change) -> str:
    which = next(one for one in whole.objects if one.form is form)
    damaged = [changed(one, change) if one is which else one for one in whole.objects]
    with pytest.raises(Defect) as caught:
        kit.checked(damaged, whole.case, *whole.sources, identity=whole.identity)
    assert caught.value.reason is RESULT_INVALID
    assert "Muster" not in caught.value.detail
    return caught.value.detail


def test_what_was_composed_passes(kit: Any, whole: Whole) -> None:
    kit.checked(whole.objects, whole.case, *whole.sources, identity=whole.identity)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "said"), [row[1:] for row in REPORT_TREE + REPORT_REFERENCES + REPORT_FIGURES],
                         ids=[row[0] for row in REPORT_TREE + REPORT_REFERENCES + REPORT_FIGURES])  # fmt: skip
def test_damage_to_the_report_is_found_and_named(kit: Any, whole: Whole, change: Change, said: str) -> None:
    assert said in said_of(kit, whole, Form.REPORT_SR, change)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "said"), [row[1:] for row in OVERLAY], ids=[row[0] for row in OVERLAY])
def test_damage_to_an_overlay_is_found_and_named(kit: Any, whole: Whole, change: Change, said: str) -> None:
    assert said in said_of(kit, whole, Form.OVERLAY_SR, change)


@pytest.mark.parametrize("damage", [lambda data: b"not DICOM", lambda data: data[:200], lambda data: data[: len(data) // 2]])
def test_bytes_that_cannot_be_read_back_are_a_defect_not_a_crash(kit: Any, whole: Whole, damage: Callable[[bytes], bytes]) -> None:
    damaged = []
    for one in whole.objects:
        data = damage(one.data) if one.form is Form.REPORT_SR else one.data
        damaged.append(replace(one, data=data, sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(Defect):
        kit.checked(damaged, whole.case, *whole.sources, identity=whole.identity)


def test_a_report_under_another_name_than_follows_from_what_made_it_is_found(kit: Any, whole: Whole) -> None:
    def rename(dataset: Dataset) -> None:
        for named_in, keyword in ((dataset, "SOPInstanceUID"), (dataset.file_meta, "MediaStorageSOPInstanceUID")):
            setattr(named_in, keyword, "2.25.123")

    *others, report = whole.objects
    renamed = replace(changed(report, rename), sop_instance_uid="2.25.123")
    with pytest.raises(Defect, match="does not follow from what made it"):
        kit.checked([*others, renamed], whole.case, *whole.sources, identity=whole.identity)


def test_figures_that_cannot_be_are_found_though_the_report_says_what_was_found(kit: Any) -> None:
    source = kit.Source()
    for melanoma in (1.25, -0.25):
        case = kit.whole_case([source], melanoma)
        with pytest.raises(Defect, match="the figure Probability cannot be"):
            kit.checked(kit.composed(case, source, edition=kit.edition(Form.REPORT_SR)), case, source, edition=kit.edition(Form.REPORT_SR))
