"""Editions: what falls back to what, that whatever is agreed can be made and sent, and that a key is an edition."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import (
    COLOUR_PRESENTATION,
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    ENCAPSULATED_PDF,
    EXPLICIT_LITTLE_ENDIAN,
    LABEL_MAP_SEGMENTATION,
    RLE_LOSSLESS,
    SAYS_EVERYTHING,
    SECONDARY_CAPTURE,
    SEGMENTATION,
    Edition,
    SegGeometry,
    SegKind,
    SrClass,
    agree,
    candidates,
)

CLASSES = (
    COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR, SEGMENTATION, LABEL_MAP_SEGMENTATION, SECONDARY_CAPTURE, COLOUR_PRESENTATION,
    ENCAPSULATED_PDF,
)
USUAL = Edition(forms=frozenset({Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE}))
PLAIN = frozenset({EXPLICIT_LITTLE_ENDIAN})

editions = st.builds(
    Edition,
    forms=st.frozensets(st.sampled_from([form for form in Form if form is not Form.MESSAGE]), min_size=1),
    sr=st.sampled_from(SrClass), seg=st.sampled_from(SegKind), seg_geometry=st.sampled_from(SegGeometry),
    rle=st.frozensets(st.sampled_from([Form.SEG, Form.PICTURE])),
)
peers = st.dictionaries(
    st.sampled_from(CLASSES),
    st.sampled_from([frozenset(), PLAIN, PLAIN | {RLE_LOSSLESS}]),
)


def takes(*classes: str, also: frozenset[str] = frozenset()) -> dict[str, frozenset[str]]:
    return dict.fromkeys(classes, PLAIN | also)


@given(editions)
def test_a_key_is_read_back_as_the_edition_that_it_names(edition: Edition) -> None:
    assert Edition.parse(edition.key) == edition


@given(editions, editions)
def test_only_equal_editions_have_one_key(one: Edition, two: Edition) -> None:
    assert (one.key == two.key) == (one == two)


@pytest.mark.parametrize("text", ["", "report_sr", "nonsense;comprehensive;binary;none;", "report_sr;2d;binary;none;", "a;b;c;d;e;f"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|is not a valid"):
        Edition.parse(text)


def test_a_peer_that_takes_everything_gets_what_was_wanted() -> None:
    agreed = agree(USUAL, takes(*CLASSES))
    assert agreed.edition == USUAL
    assert agreed.left_out == ()


def test_without_3d_the_reports_are_comprehensive_and_nothing_is_left_out() -> None:
    agreed = agree(USUAL, takes(COMPREHENSIVE_SR, SEGMENTATION, SECONDARY_CAPTURE))
    assert agreed.edition == replace(USUAL, sr=SrClass.COMPREHENSIVE)
    assert agreed.left_out == ()


def test_a_label_map_becomes_binary_where_only_that_is_taken() -> None:
    wanted = replace(USUAL, seg=SegKind.LABELMAP)
    assert agree(wanted, takes(COMPREHENSIVE_3D_SR, SEGMENTATION, SECONDARY_CAPTURE)).edition == USUAL


def test_what_is_not_taken_is_left_out_and_the_picture_goes_in_its_place() -> None:
    wanted = Edition(forms=frozenset({Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG}))
    agreed = agree(wanted, takes(SECONDARY_CAPTURE))
    assert agreed.edition is not None
    assert agreed.edition.forms == {Form.PICTURE}
    assert agreed.left_out == (Form.SEG, Form.OVERLAY_SR, Form.REPORT_SR)


def test_without_a_form_that_says_everything_nothing_goes() -> None:
    agreed = agree(USUAL, takes(SEGMENTATION))
    assert agreed.edition is None
    assert agreed.left_out == (Form.OVERLAY_SR, Form.REPORT_SR, Form.PICTURE)
    assert agree(USUAL, {}).edition is None


def test_a_binary_seg_is_never_run_length_encoded_and_a_picture_is_where_the_peer_takes_it() -> None:
    peer = takes(*CLASSES, also=frozenset({RLE_LOSSLESS}))
    agreed, fractional = agree(USUAL, peer).edition, agree(replace(USUAL, seg=SegKind.FRACTIONAL), peer).edition
    assert agreed is not None
    assert agreed.rle == {Form.PICTURE}
    assert fractional is not None
    assert fractional.rle == {Form.PICTURE, Form.SEG}


@settings(max_examples=40)
@given(editions, peers)
def test_whatever_is_agreed_is_taken_by_the_peer_says_everything_and_is_agreed_again(
    wanted: Edition, accepted: Mapping[str, frozenset[str]]
) -> None:
    agreed = agree(wanted, accepted)
    assert set(agreed.left_out) <= wanted.forms
    assert list(agreed.left_out) == [form for form in Form if form in agreed.left_out]
    if agreed.edition is None:
        return
    edition = agreed.edition
    assert edition.forms & SAYS_EVERYTHING
    assert edition.forms >= wanted.forms - set(agreed.left_out)
    assert edition.forms <= wanted.forms | {Form.PICTURE}
    for form in edition.forms:
        assert accepted[edition.sop_class(form)]
    for form in edition.rle:
        assert RLE_LOSSLESS in accepted[edition.sop_class(form)]
    again = agree(edition, accepted)
    assert again.edition == edition
    assert again.left_out == ()


@settings(max_examples=40)
@given(editions, peers)
def test_whatever_may_be_agreed_was_proposed(wanted: Edition, accepted: Mapping[str, frozenset[str]]) -> None:
    proposed = candidates(wanted)
    answered = {one: accepted.get(one, frozenset()) & frozenset(syntaxes) for one, syntaxes in proposed.items()}
    edition = agree(wanted, answered).edition
    assert all(EXPLICIT_LITTLE_ENDIAN in syntaxes for syntaxes in proposed.values())
    assert edition == agree(wanted, {one: accepted.get(one, frozenset()) for one in proposed}).edition
    if edition is not None:
        assert {edition.sop_class(form) for form in edition.forms} <= set(proposed)


@given(editions, st.sampled_from(Form))
def test_forms_that_two_editions_make_alike_have_one_variant(edition: Edition, form: Form) -> None:
    with_pdf = replace(edition, forms=edition.forms | {Form.PDF})
    assert edition.variant(form) == with_pdf.variant(form)


def test_a_report_depends_on_its_class_and_on_the_seg_to_which_it_refers() -> None:
    without_seg = replace(USUAL, forms=USUAL.forms - {Form.SEG})
    others = [
        without_seg, replace(USUAL, sr=SrClass.COMPREHENSIVE), replace(USUAL, seg=SegKind.FRACTIONAL),
        replace(USUAL, seg_geometry=SegGeometry.NONE),
    ]
    variants = {one.variant(Form.REPORT_SR) for one in (USUAL, *others)}
    assert len(variants) == 5
    assert len({one.variant(Form.OVERLAY_SR) for one in (USUAL, *others)}) == 2
    assert replace(without_seg, seg=SegKind.FRACTIONAL).variant(Form.REPORT_SR) == without_seg.variant(Form.REPORT_SR)


def test_a_message_is_no_dicom_object() -> None:
    with pytest.raises(KeyError):
        USUAL.sop_class(Form.MESSAGE)
