"""The one table of coded concepts: every code that we write stands here, with the source that verified it.

Sources: P = dictionary of pydicom 3.0.2, made from the tables of PS3.16; M = MONDO, exact matches curated by hand
(August 2026); H = cross references of the Human Phenotype Ontology (January 2025); D = cross references of the Disease
Ontology (SNOMED US, September 2025); F = a public FHIR value set of morphologic abnormalities; U = UCUM;
L = RFC 5646 with the IANA registry of language subtags; own = our private scheme, for want of a verified public code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PRIVATE_SCHEME = "99DERMPACS"
"""Coding scheme designator of our own codes (PS3.16 section 8: private designators begin with 99)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One coded concept: at most 16, 16 and 64 characters, so that every viewer shows it (PS3.3 section 8.8)."""

    name: str
    """Our name of the row; bundles name their classes and regions by it."""
    value: str
    scheme: str
    meaning: str
    source: str
    short: str = ""
    """At most 15 characters, for figures beside a contour, where viewers cut longer names."""


def _row(name: str, value: str, scheme: str, meaning: str, source: str, *, short: str = "") -> Code:
    return Code(name=name, value=value, scheme=scheme, meaning=meaning, source=source, short=short)


_DIAGNOSES = (
    _row("melanoma", "372244006", "SCT", "Melanoma", "M H", short="Melanoma"),
    _row("melanocytic_nevus", "400096001", "SCT", "Melanocytic nevus", "M H", short="Nevus"),
    _row("basal_cell_carcinoma", "254701007", "SCT", "Basal cell carcinoma of skin", "M H", short="Basal cell ca."),
    _row("squamous_cell_carcinoma", "402815007", "SCT", "Squamous cell carcinoma of skin", "M", short="Squamous cell"),
    _row("actinic_keratosis", "201101007", "SCT", "Actinic keratosis", "M", short="Actinic kerat."),
    _row("seborrheic_keratosis", "25499005", "SCT", "Seborrheic keratosis", "F", short="Seborrheic k."),
    _row("dermatofibroma", "448015002", "SCT", "Dermatofibroma", "M", short="Dermatofibroma"),
    _row("hemangioma_of_skin", "93471006", "SCT", "Hemangioma of skin", "M", short="Hemangioma"),
    _row("lichen_planus", "4776004", "SCT", "Lichen planus", "M", short="Lichen planus"),
    _row("rosacea", "398909004", "SCT", "Rosacea", "P M H", short="Rosacea"),
    _row("viral_wart", "57019003", "SCT", "Verruca vulgaris", "M H", short="Wart"),
    _row("acne", "11381005", "SCT", "Acne", "H D", short="Acne"),
    _row("keloid", "33659008", "SCT", "Keloid", "M H", short="Keloid"),
    _row("eczema", "43116000", "SCT", "Eczema", "P H M", short="Eczema"),
    _row("atopic_dermatitis", "24079001", "SCT", "Atopic dermatitis", "P M H", short="Atopic derm."),
    _row("seborrheic_dermatitis", "50563003", "SCT", "Seborrheic dermatitis", "H", short="Seborrheic d."),
    _row("psoriasis", "9014002", "SCT", "Psoriasis", "P M H", short="Psoriasis"),
    _row("port_wine_stain", "416377005", "SCT", "Port-wine stain", "H", short="Port-wine stain"),
    _row("keloid_or_hypertrophic_scar", "KELOID-SCAR", PRIVATE_SCHEME, "Keloid or hypertrophic scar", "own", short="Keloid or hyp."),
    _row("eczema_or_dermatitis", "ECZEMA-DERM", PRIVATE_SCHEME, "Eczema or dermatitis", "own", short="Eczema or derm."),
    _row("benign", "30807003", "SCT", "Benign", "P", short="Benign"),
    _row("malignant", "21594007", "SCT", "Malignant", "P", short="Malignant"),
)

_REGIONS = (
    _row("skin_lesion", "95324001", "SCT", "Skin lesion", "P", short="Lesion"),
    _row("skin", "39937001", "SCT", "Skin", "P", short="Skin"),
)

_STRUCTURE = (
    _row("abnormal_structure", "49755003", "SCT", "Morphologically Abnormal Structure", "P"),
    _row("anatomical_structure", "91723000", "SCT", "Anatomical Structure", "P"),
    _row("left", "7771000", "SCT", "Left", "P"),
    _row("right", "24028007", "SCT", "Right", "P"),
    _row("area", "42798000", "SCT", "Area", "P"),
    _row("diameter", "81827009", "SCT", "Diameter", "P"),
    _row("maximum", "56851009", "SCT", "Maximum", "P"),
    _row("source_image", "260753009", "SCT", "Source", "P"),
    _row("segmentation", "113076", "DCM", "Segmentation", "P"),
    _row("background", "125040", "DCM", "Background", "P"),
    _row("source_for_processing", "121322", "DCM", "Source image for image processing operation", "P"),
    _row("dermoscopic_photography", "446078004", "SCT", "Dermoscopic photography (procedure)", "P"),
    _row("probability", "122157", "DCM", "Probability", "P"),
    _row("threshold_value", "122411", "DCM", "Threshold Value", "P"),
    _row("image_quality", "111101", "DCM", "Image Quality", "P"),
    _row("insufficient_quality", "110531", "DCM", "Insufficient quality for interpretation", "P"),
    _row("comment", "121106", "DCM", "Comment", "P"),
    _row("device", "121007", "DCM", "Device", "P"),
    _row("artificial_intelligence", "123110", "DCM", "Artificial Intelligence", "P"),
    _row("cam", "130402", "DCM", "Class activation", "P"),
    _row("grad_cam", "130403", "DCM", "Gradient-weighted class activation", "P"),
    _row("saliency", "130404", "DCM", "Saliency", "P"),
    _row("windows", "WINDOWS", "99DERMPACS", "Probability window by window", "own"),
    _row("imaging_measurement_report", "126000", "DCM", "Imaging Measurement Report", "P"),
    _row("imaging_report", "18748-4", "LN", "Diagnostic Imaging Report", "P"),
    _row("image_library", "111028", "DCM", "Image Library", "P"),
    _row("image_library_group", "126200", "DCM", "Image Library Group", "P"),
    _row("modality", "121139", "DCM", "Modality", "P"),
    _row("dermoscopy_modality", "DMS", "DCM", "Dermoscopy", "P"),
    _row("confocal_modality", "CFM", "DCM", "Confocal Microscopy", "P"),
    _row("photography_modality", "XC", "DCM", "External-camera Photography", "P"),
    _row("microscopy_modality", "GM", "DCM", "General Microscopy", "P"),
    _row("other_modality", "OT", "DCM", "Other", "P"),
    _row("finding", "121071", "DCM", "Finding", "P"),
    _row("finding_site", "363698007", "SCT", "Finding Site", "P"),
    _row("laterality", "272741003", "SCT", "Laterality", "P"),
    _row("tracking_identifier", "112039", "DCM", "Tracking Identifier", "P"),
    _row("tracking_uid", "112040", "DCM", "Tracking Unique Identifier", "P"),
    _row("study_instance_uid", "110180", "DCM", "Study Instance UID", "P"),
    _row("algorithm_name", "111001", "DCM", "Algorithm Name", "P"),
    _row("algorithm_parameters", "111002", "DCM", "Algorithm Parameters", "P"),
    _row("algorithm_version", "111003", "DCM", "Algorithm Version", "P"),
    _row("perimeter", "131191004", "SCT", "Perimeter", "P"),
    _row("certainty_of_finding", "111012", "DCM", "Certainty of Finding", "P"),
    _row("summary", "121111", "DCM", "Summary", "P"),
    _row("prior_report", "122075", "DCM", "Prior report for current patient", "P"),
    _row("photography_of_patient", "197157006", "SCT", "Photography of patient", "P"),
    _row("microscopic_photography", "60287000", "SCT", "Photography, microscopic (procedure)", "P"),
    _row("no_units", "1", "UCUM", "no units", "P U"),
    _row("percent", "%", "UCUM", "Percent", "P U"),
    _row("millimetre", "mm", "UCUM", "mm", "P U"),
    _row("square_millimetre", "mm2", "UCUM", "square millimeter", "P U"),
    _row("pixels", "{pixels}", "UCUM", "pixels", "U"),
)

_TEMPLATES = (
    _row("algorithm_family", "111000", "DCM", "Algorithm Family", "P"),
    _row("image_region", "111030", "DCM", "Image Region", "P"),
    _row("observer_type", "121005", "DCM", "Observer Type", "P"),
    _row("device_observer_uid", "121012", "DCM", "Device Observer UID", "P"),
    _row("device_observer_name", "121013", "DCM", "Device Observer Name", "P"),
    _row("device_observer_manufacturer", "121014", "DCM", "Device Observer Manufacturer", "P"),
    _row("device_observer_model_name", "121015", "DCM", "Device Observer Model Name", "P"),
    _row("language", "121049", "DCM", "Language of Content Item and Descendants", "P"),
    _row("english", "en-US", "RFC5646", "English (United States)", "L"),
    _row("procedure_reported", "121058", "DCM", "Procedure reported", "P"),
    _row("source_of_measurement", "121112", "DCM", "Source of Measurement", "P"),
    _row("referenced_segmentation_frame", "121214", "DCM", "Referenced Segmentation Frame", "P"),
    _row("source_image_for_segmentation", "121233", "DCM", "Source image for segmentation", "P"),
    _row("derivation", "121401", "DCM", "Derivation", "P"),
    _row("measurement_group", "125007", "DCM", "Measurement Group", "P"),
    _row("imaging_measurements", "126010", "DCM", "Imaging Measurements", "P"),
)
"""What the templates of PS3.16 (TID 300, 1001, 1204, 1410, 1500, 1501, 1600, 4019) name their items by."""

_OWN = (
    _row("classifier_call", "CALL", PRIVATE_SCHEME, "Classifier call", "own"),
    _row("not_analysed_because", "NOT-ANALYSED", PRIVATE_SCHEME, "Not analysed, because", "own"),
    _row("other_reason", "NA-OTHER", PRIVATE_SCHEME, "Another reason, see comment", "own"),
    _row("share_of_image", "SHARE-OF-IMAGE", PRIVATE_SCHEME, "Share of the image", "own"),
    _row("lesion_area", "LESION-AREA", PRIVATE_SCHEME, "Lesion area", "own", short="Lesion area"),
    _row("skin_area", "SKIN-AREA", PRIVATE_SCHEME, "Skin area", "own", short="Skin area"),
    _row("sop_instance_uid", "SOP-INSTANCE-UID", PRIVATE_SCHEME, "SOP Instance UID", "own"),
    _row("frame_number", "FRAME-NUMBER", PRIVATE_SCHEME, "Frame number", "own"),
    _row("set_by", "SET-BY", PRIVATE_SCHEME, "Threshold set by", "own"),
    _row("combined_by", "COMBINED-BY", PRIVATE_SCHEME, "Images combined by", "own"),
    _row("mean_of_images", "RULE-MEAN", PRIVATE_SCHEME, "Mean of the images", "own"),
    _row("maximum_of_images", "RULE-MAXIMUM", PRIVATE_SCHEME, "Image with the highest probability", "own"),
    _row("unreadable_object", "UNREADABLE", PRIVATE_SCHEME, "Object of the study that cannot be read", "own"),
    _row("confocal_microscopy", "CONFOCAL", PRIVATE_SCHEME, "Confocal microscopy of the skin", "own"),
    _row("revision", "REVISION", PRIVATE_SCHEME, "Revision of these results", "own"),
    _row("earlier_study", "EARLIER-STUDY", PRIVATE_SCHEME, "Earlier study of the lesion", "own"),
    _row("change_of_area", "CHANGE-AREA", PRIVATE_SCHEME, "Change of the area since the earlier study", "own"),
    _row("change_of_diameter", "CHANGE-DIAMETER", PRIVATE_SCHEME, "Change of the diameter since the earlier study", "own"),
    _row("change_of_probability", "CHANGE-PROB", PRIVATE_SCHEME, "Change of the probability since the earlier study", "own"),
    _row("change_of_share", "CHANGE-SHARE", PRIVATE_SCHEME, "Change of the share of the image since the earlier study", "own"),
)

CODES: Mapping[str, Code] = MappingProxyType({row.name: row for row in (*_DIAGNOSES, *_REGIONS, *_STRUCTURE, *_TEMPLATES, *_OWN)})
"""Every row by its name."""

DIAGNOSES = frozenset(row.name for row in _DIAGNOSES)
"""Names that a class of a classification may carry."""

REGIONS = frozenset(row.name for row in _REGIONS)
"""Names that a segmented region may carry."""


def code(name: str) -> Code:
    """Return the row of that name; raises `KeyError` with the nearest remedy where the table has none."""
    try:
        return CODES[name]
    except KeyError:
        raise KeyError(f"no coded concept {name!r} in domain/codes.py; add a row with a verified source") from None


def probability_name(row: Code) -> Code:
    """Return our private name for "the probability of `row`, in per cent", whose meaning is the row's short name.

    Viewers print a figure's name beside the contour, and only that; a standard code for it does not exist.
    """
    return Code(
        name=f"probability_of_{row.name}", value=f"P-{row.value}", scheme=PRIVATE_SCHEME,
        meaning=row.short or row.meaning, source="own", short=row.short,
    )


def meaning_of(value: str, scheme: str) -> str | None:
    """Return what a code of ours means, None where neither the table nor `probability_name` has it."""
    return _MEANINGS.get((value, scheme))


_MEANINGS = {
    (row.value, row.scheme): row.meaning
    for row in (*CODES.values(), *(probability_name(one) for one in _DIAGNOSES))
}

_VERHOEFF_MULTIPLY = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_PERMUTE = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def has_valid_check_digit(sctid: str) -> bool:
    """Say whether a SNOMED CT identifier's last digit is its Verhoeff check digit (SNOMED CT release file guide 6.3)."""
    total = 0
    for position, character in enumerate(reversed(sctid)):
        digit = int(character)
        for _ in range(position % 8):
            digit = _VERHOEFF_PERMUTE[digit]
        total = _VERHOEFF_MULTIPLY[total][digit]
    return total == 0
