"""The first route that takes an image reads it."""

import pytest

from derm_pacs.domain.routing import ImageFacts, Route, route

DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
CONFOCAL = "1.2.840.10008.5.1.4.1.1.77.1.8"


def a_route(name: str, sop_classes: set[str] | None = None, modalities: set[str] | None = None) -> Route:
    return Route(
        name=name, sop_classes=frozenset(sop_classes or ()), modalities=frozenset(modalities or ()),
        bundles=("lesion",), destinations=("pacs",),
    )


BY_CLASS = a_route("by class", {DERMOSCOPIC})
BY_MODALITY = a_route("by modality", None, {"XC", "DMS"})
BY_BOTH = a_route("by both", {CONFOCAL}, {"OP"})
ANY = a_route("any")


@pytest.mark.parametrize(
    ("routes", "sop_class", "modality", "expected"),
    [
        ((BY_CLASS,), DERMOSCOPIC, "DMS", BY_CLASS),
        ((BY_CLASS,), CONFOCAL, "DMS", None),
        ((BY_MODALITY,), CONFOCAL, "XC", BY_MODALITY),
        ((BY_MODALITY,), CONFOCAL, "", None),
        ((BY_BOTH,), CONFOCAL, "OP", BY_BOTH),
        ((BY_BOTH,), CONFOCAL, "XC", None),
        ((BY_BOTH,), DERMOSCOPIC, "OP", None),
        ((BY_CLASS, BY_MODALITY), DERMOSCOPIC, "XC", BY_CLASS),
        ((BY_MODALITY, BY_CLASS), DERMOSCOPIC, "XC", BY_MODALITY),
        ((BY_BOTH, ANY), DERMOSCOPIC, "", ANY),
        ((), DERMOSCOPIC, "DMS", None),
    ],
)
def test_a_route_takes_an_image_by_class_and_modality(
    routes: tuple[Route, ...], sop_class: str, modality: str, expected: Route | None
) -> None:
    assert route(ImageFacts(sop_class_uid=sop_class, modality=modality), routes) is expected
