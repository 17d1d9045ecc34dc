"""An algorithm beside readers: known answers, a definition by brute force, any order of rows, both shapes, errors in words."""

import csv
import itertools
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.measuring.statistics import wilson
from derm_training.readers import readers_report
from derm_training.readers.dichotomous import Comparison, compare
from derm_training.readers.reader_tables import UNREAD, Columns, Reader, Study, ordered, read_study
from derm_training.readers.sheet import UnusableTable
from derm_training.readers.simulated_readers import MARK, with_simulated_readers
from tests.conftest import shared_data
from tests.derm_training.measuring.documented import documented

CROWD = Columns(label="target", scores=("adae_score",), readers=("crowd_score",))


def published() -> Path:
    return shared_data() / "readers" / "lesion-size-2020_metadata.csv"


def values(table: Path, columns: Columns, thresholds: dict[str, float], **options: object) -> dict[str, object]:
    study = read_study(table, columns, thresholds)
    return readers_report.as_values(study, compare(study, **options))  # type: ignore[arg-type]


def test_the_published_table_gives_its_known_answers() -> None:
    study = read_study(published(), CROWD, {"crowd_score": 0.3})
    (one,) = compare(study, sensitivities=(0.867, 0.805))
    (crowd,) = one.points
    assert crowd.auc is not None
    assert one.auc.value == pytest.approx(0.8096, abs=5e-5)
    assert crowd.auc.value == pytest.approx(0.7032, abs=5e-5)
    assert (one.auc.low, one.auc.high) == pytest.approx((0.765, 0.850), abs=4e-3)
    assert (crowd.auc.low, crowd.auc.high) == pytest.approx((0.656, 0.748), abs=4e-3)
    assert (crowd.sensitivity.value, crowd.specificity.value) == pytest.approx((0.867, 0.420), abs=5e-4)
    assert crowd.matched.specificity.value == pytest.approx(0.521, abs=5e-4)
    assert crowd.matched.threshold == pytest.approx(0.02248, abs=5e-6)
    asked, other = one.asked
    assert (asked.specificity.value, asked.threshold) == (crowd.matched.specificity.value, crowd.matched.threshold)
    assert other.specificity.value == pytest.approx(0.619, abs=5e-4)
    assert other.threshold == pytest.approx(0.03798, abs=5e-6)
    assert crowd.matched.specificity.low < 0.521 < crowd.matched.specificity.high


def test_a_reader_who_gave_scores_is_a_point_at_each_tenth_too() -> None:
    found = values(published(), CROWD, {}, draws=100)
    (reader,) = found["algorithms"][0]["readers"]  # type: ignore[index]
    points = {one["threshold"]: (one["sensitivity"], one["specificity"]) for one in reader["at_tenths"]}
    assert points[0.1] == pytest.approx((0.929, 0.282), abs=5e-4)
    assert points[0.2] == pytest.approx((0.912, 0.357), abs=5e-4)
    assert points[0.3] == pytest.approx((0.867, 0.420), abs=5e-4)
    assert points[0.5] == pytest.approx((0.805, 0.497), abs=5e-4)


def test_a_permuted_table_gives_the_same_figures_and_the_same_intervals(tmp_path: Path) -> None:
    with published().open(encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream))
    order = np.random.default_rng(3).permutation(len(rows))
    permuted = tmp_path / "lesion-size-2020_metadata.csv"
    with permuted.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *(rows[i] for i in order)])
    thresholds = {"crowd_score": 0.3}
    assert values(permuted, CROWD, thresholds, draws=200) == values(published(), CROWD, thresholds, draws=200)


def test_only_the_order_of_the_scores_counts(tmp_path: Path) -> None:
    study = read_study(published(), CROWD, {"crowd_score": 0.3})
    changed = Study(
        title=study.title, truth=study.truth, groups=study.groups, readers=study.readers,
        scores={"adae_score": 5 * np.exp(study.scores["adae_score"]) - 7},
    )
    (one,), (other,) = compare(study, draws=100), compare(changed, draws=100)
    assert (one.auc, one.groups[0].matched_specificity) == (other.auc, other.groups[0].matched_specificity)


def brute(truth: Sequence[int], scores: Sequence[float], needed: float) -> tuple[float, float]:
    """The definition, word by word: the largest threshold that reaches the sensitivity, and its specificity."""
    positives, negatives = truth.count(1), truth.count(0)
    reaching = [
        threshold
        for threshold in [*scores, math.inf]
        if sum(s >= threshold for s, t in zip(scores, truth, strict=True) if t == 1) / positives >= needed
    ]
    best = max(reaching)
    return best, sum(s < best for s, t in zip(scores, truth, strict=True) if t == 0) / negatives


@st.composite
def tied_studies(draw: st.DrawFn) -> Study:
    """Few distinct scores, a reader who reads some of the images, at least one of each class among them."""
    count = draw(st.integers(2, 25))
    truth = [1, 0, *draw(st.lists(st.integers(0, 1), min_size=count - 2, max_size=count - 2))]
    scores = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.1, 0.25, 3.0]), min_size=count, max_size=count))
    calls = draw(st.lists(st.sampled_from([0, 1]), min_size=2, max_size=2)) + draw(
        st.lists(st.sampled_from([UNREAD, 0, 1]), min_size=count - 2, max_size=count - 2)
    )
    return Study(
        title="tied", truth=np.array(truth, dtype=np.int8), scores={"s": np.array(scores)}, groups=("",) * count,
        readers=(Reader(name="r", rank="", calls=np.array(calls, dtype=np.int8)),),
    )


@settings(max_examples=150)
@given(tied_studies(), st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.867, 1.0]))
def test_on_tied_tables_the_matched_point_is_that_of_the_definition(study: Study, asked: float) -> None:
    (one,) = compare(ordered(study), sensitivities=(asked,), draws=100)
    truth, scores = study.truth.tolist(), study.scores["s"].tolist()
    assert (one.asked[0].threshold, one.asked[0].specificity.value) == pytest.approx(brute(truth, scores, asked))
    read = [index for index, call in enumerate(study.readers[0].calls) if call != UNREAD]
    mine = [truth[i] for i in read]
    calls = [int(study.readers[0].calls[i]) for i in read]
    sensitivity = sum(c == t == 1 for c, t in zip(calls, mine, strict=True)) / mine.count(1)
    (point,) = one.points
    assert point.sensitivity.value == pytest.approx(sensitivity)
    assert point.specificity.value == pytest.approx(sum(c == t == 0 for c, t in zip(calls, mine, strict=True)) / mine.count(0))
    found = (point.matched.threshold, point.matched.specificity.value)
    assert found == pytest.approx(brute(mine, [scores[i] for i in read], sensitivity))
    assert one.groups[0].below_curve == int(found[1] > point.specificity.value)


@settings(max_examples=60)
@given(tied_studies())
def test_the_area_and_its_draws_count_ties_half(study: Study) -> None:
    (one,) = compare(ordered(study), draws=100)
    scores, truth = study.scores["s"], study.truth
    pairs = [
        (p > n) + (p == n) / 2 for p, n in itertools.product(scores[truth == 1].tolist(), scores[truth == 0].tolist())
    ]
    assert one.auc.value == pytest.approx(np.mean(pairs))
    (beside, up) = zip(*one.curve, strict=True)
    assert np.trapezoid(up, beside) == pytest.approx(one.auc.value)


def test_an_interval_over_few_readers_is_wider_than_over_one_that_is_the_same_often() -> None:
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1], 100).astype(np.int8)
    calls = [np.where(random.random(200) < share, truth, 1 - truth).astype(np.int8) for share in (0.5, 0.75, 0.97)]
    study = Study(
        title="t", truth=truth, scores={"s": truth + random.normal(size=200)}, groups=tuple(map(str, range(200))),
        readers=tuple(Reader(name=str(i), rank="", calls=one) for i, one in enumerate(calls)),
    )
    same = Study(
        title="t", truth=truth, scores=study.scores, groups=study.groups,
        readers=tuple(Reader(name=str(i), rank="", calls=calls[1]) for i in range(3)),
    )
    (apart,), (alike,) = compare(study, draws=500), compare(same, draws=500)
    wide, narrow = apart.groups[0].sensitivity, alike.groups[0].sensitivity
    assert wide.mean.high - wide.mean.low > 1.5 * (narrow.mean.high - narrow.mean.low)
    assert wide.least == pytest.approx(0.5, abs=0.15)
    assert narrow.least == narrow.largest == pytest.approx(narrow.mean.value)


def test_a_group_of_images_is_drawn_whole(tmp_path: Path) -> None:
    lines = [f"{i // 10},{int(i % 20 < 10)},{(i * 7) % 13},{int(i % 3 == 0)}" for i in range(200)]
    table = written(tmp_path, "lesion,label,score,anna\n" + "\n".join(lines))
    columns = Columns(label="label", scores=("score",), readers=("anna",))
    grouped = Columns(label="label", scores=("score",), readers=("anna",), group="lesion")
    alone = values(table, columns, {}, draws=500)
    whole = values(table, grouped, {}, draws=500)
    assert alone["auc"] == whole["auc"]
    assert alone["auc_ci"] != whole["auc_ci"]


WIDE = "image,label,score,anna,bert\na,1,0.9,1,1\nb,1,0.4,0,1\nc,0,0.5,1,\nd,0,0.1,0,0\n"
LONG = (
    "image,reader,rank,call,label,score\nd,anna,attending,0,0,0.1\na,anna,attending,1,1,0.9\nb,anna,attending,0,1,0.4\nc,anna,attending,1,0,0.5\n"
    "a,bert,resident,1,1,0.9\nb,bert,resident,1,1,0.4\nd,bert,resident,0,0,0.1\n"
)


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def points(one: Comparison) -> list[tuple[str, float, float, float]]:
    return [(p.reader, p.sensitivity.value, p.specificity.value, p.matched.specificity.value) for p in one.points]


def test_both_shapes_say_the_same_and_a_reader_counts_on_the_images_read(tmp_path: Path) -> None:
    wide = read_study(written(tmp_path, WIDE), Columns(label="label", scores=("score",), readers=("anna", "bert"), image="image"), {})
    long = read_study(
        written(tmp_path, LONG, "l.csv"),
        Columns(label="label", scores=("score",), readers=("reader",), image="image", call="call", rank="rank"),
        {},
    )
    first, second = compare(wide, draws=100)[0], compare(long, draws=100)[0]
    assert points(first) == points(second) == [("anna", 0.5, 0.5, 1.0), ("bert", 1.0, 1.0, 1.0)]
    assert first.points[1].sensitivity.n == 3
    assert [group.rank for group in second.groups] == ["", "attending", "resident"]
    assert any("bert read 3 of 4 images" in note for note in wide.notes)


def test_labels_and_scores_may_stand_in_a_second_table(tmp_path: Path) -> None:
    images = written(tmp_path, "image,dx,score\na,mel,0.9\nb,mel,0.4\nc,nv,0.5\nd,nv,0.1\n", "images.csv")
    calls = written(tmp_path, "image,who,call\na,anna,mel\nb,anna,nv\nc,anna,mel\nd,anna,nv\n")
    columns = Columns(label="dx", scores=("score",), readers=("who",), image="image", call="call", positive="mel")
    assert points(compare(read_study(calls, columns, {}, images), draws=100)[0]) == [("anna", 0.5, 0.5, 1.0)]


@pytest.mark.parametrize(
    ("text", "columns", "named"),
    [
        (WIDE.replace("0.4", "high"), {}, "column 'score', row 3: 'high' is no number; write a number"),
        (WIDE.replace("b,1", "b,melanoma"), {}, "column 'label', row 3: the label 'melanoma' is not 0 or 1; .*--positive"),
        (WIDE.replace("0.1,0,0", "0.1,maybe,0"), {}, "column 'anna', row 5: 'maybe' is no number; write 0 or 1"),
        (WIDE.replace("d,0", "a,0"), {"image": "image"}, "column 'image', row 5: 'a' stands in row 2 too; .*--call"),
        (WIDE, {"readers": ("carl",)}, "no column 'carl'; its columns are image, label, score, anna, bert"),
        (WIDE.replace(",1,0", ",0,0"), {}, "column 'label': every image is negative"),
        ("", {}, "has no rows"),
        (WIDE.replace("b,1,0.4,0,1", "b,1,0.4,0,").replace("a,1,0.9,1,1", "a,1,0.9,1,"), {}, "'bert' has called no positive image"),
        (LONG + "a,anna,attending,1,1,0.9\n", {"call": "call"}, "row 9: 'anna' has called 'a' before; keep one call"),
        (LONG.replace("a,bert,resident,1,1,0.9", "a,bert,resident,1,0,0.9"), {"call": "call"}, "column 'label', row .*: '0' for 'a'"),
        (LONG.replace("d,bert,resident", "d,bert,attending"), {"call": "call", "rank": "rank"}, "row 8: 'bert' is 'attending' here"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_by_file_column_row_and_remedy(
    tmp_path: Path, text: str, columns: dict[str, object], named: str
) -> None:
    table = written(tmp_path, text)
    given = {"label": "label", "scores": ("score",), "readers": ("anna", "bert")}
    if "call" in columns:
        given |= {"readers": ("reader",), "image": "image"}
    with pytest.raises(UnusableTable, match=named) as told:
        read_study(table, Columns(**{**given, **columns}), {})  # type: ignore[arg-type]
    assert str(table) in str(told.value)


def test_simulated_readers_are_called_so_everywhere_and_are_those_of_their_seed(tmp_path: Path) -> None:
    study = read_study(published(), Columns(label="target", scores=("adae_score",), readers=()), {})
    shown = with_simulated_readers(study, 6, 5)
    again, other = with_simulated_readers(study, 6, 5), with_simulated_readers(study, 6, 6)
    assert all(np.array_equal(one.calls, two.calls) for one, two in zip(shown.readers, again.readers, strict=True))
    assert not all(np.array_equal(one.calls, two.calls) for one, two in zip(shown.readers, other.readers, strict=True))
    found = compare(shown, draws=100)
    readers_report.write(shown, found, tmp_path)
    said = json.loads((tmp_path / "readers.json").read_text())
    assert said["simulated_readers"] is True
    assert MARK in said["title"]
    assert all(MARK in one["reader"] for one in said["algorithms"][0]["readers"])
    assert f"{MARK} READERS</h1>" in (tmp_path / "readers.html").read_text()
    assert (tmp_path / "readers.png").read_bytes().startswith(b"\x89PNG")
    long = Columns(label="label", scores=("adae_score",), readers=("reader",), image="image", call="call", rank="rank")
    kept = read_study(tmp_path / "simulated_readers.csv", long, {})
    back = compare(kept, draws=100)
    assert points(back[0]) == points(found[0])
    assert readers_report.title(kept).endswith(f"{MARK} READERS"), "also where they come from a table"
    assert all(0.4 < point.sensitivity.value < 1 for point in found[0].points), "readers, not guesses"


def test_several_scores_give_the_spread_of_repeated_trainings(tmp_path: Path) -> None:
    table = written(tmp_path, "label,one,two,anna\n1,3,1,1\n1,2,3,0\n0,1,2,0\n0,0,0,1\n")
    found = values(table, Columns(label="label", scores=("one", "two"), readers=("anna",)), {}, draws=100)
    spread = found["over_algorithms"]
    assert spread == {"scores": 2, "specificity_at_mean_sensitivity": {"mean": 1.0, "range": [1.0, 1.0]}}


FEW = "label,score,anna,bert\n1,0.9,1,1\n1,0.8,1,1\n0,0.2,0,0\n0,0.1,0,0\n"
"""Four images on which nobody errs: no draw of a bootstrap differs from another."""

LONE = "g,label,score,anna,bert\nl,1,0.9,1,1\nl,1,0.3,1,0\nl,0,0.5,1,1\nl,0,0.1,0,1\n"
"""Four images of one lesion."""

BOTH = Columns(label="label", scores=("score",), readers=("anna", "bert"))


def test_where_nobody_errs_on_a_few_images_a_share_has_the_interval_of_so_few(tmp_path: Path) -> None:
    (one,) = compare(read_study(written(tmp_path, FEW), BOTH, {}), sensitivities=(0.5,), draws=100)
    two = pytest.approx(wilson(1, 2))
    group = one.groups[0]
    for share in (one.auc, one.points[0].matched.specificity, group.at_mean_sensitivity.specificity, one.asked[0].specificity):
        assert share.value == 1
        assert (share.low, share.high) == two
    assert str(one.auc) == "1.000 (0.342 to 1.000)"


def test_a_score_that_is_always_wrong_has_the_interval_of_so_few_too(tmp_path: Path) -> None:
    (one,) = compare(read_study(written(tmp_path, FEW.replace("0,0.", "0,5.")), BOTH, {}), draws=100)
    assert (one.auc.value, one.auc.low, one.auc.high) == pytest.approx((0, *wilson(0, 2)))


def test_images_of_one_lesion_are_no_more_witnesses_than_it_is(tmp_path: Path) -> None:
    images = "".join(f"{lesion},{int(lesion in 'ab')},{0.9 if lesion in 'ab' else 0.1},1\n" for lesion in "aaaaabbbbbccccddd")
    columns = Columns(label="label", scores=("score",), readers=("anna",), group="g")
    (one,) = compare(read_study(written(tmp_path, "g,label,score,anna\n" + images), columns, {}), draws=100)
    assert (one.auc.low, one.auc.high) == pytest.approx(wilson(1, 2))
    assert (one.points[0].matched.specificity.low, one.points[0].matched.specificity.high) == pytest.approx(wilson(1, 2))


def test_means_over_readers_have_no_interval_where_no_draw_varies_and_the_algorithm_at_their_mean_has_wilsons(tmp_path: Path) -> None:
    (one,) = compare(read_study(written(tmp_path, FEW), BOTH, {}), draws=100)
    (group,) = one.groups
    for mean in (group.sensitivity.mean, group.specificity.mean, group.matched_specificity.mean):
        assert np.isnan([mean.low, mean.high]).all()
    assert group.at_mean_sensitivity.specificity.low == pytest.approx(wilson(1, 2)[0])


def test_a_difference_in_which_no_draw_varies_has_no_interval_and_every_renderer_says_so(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, FEW), BOTH, {})
    found = compare(study, draws=100)
    (one,) = found
    assert one.points[0].difference.value == one.groups[0].difference.value == 0
    assert [row[-1] for row in readers_report.lines(one)] == ["+0.000 (no interval)"] * 3
    readers_report.write(study, found, tmp_path)
    said = json.loads((tmp_path / "readers.json").read_text())["algorithms"][0]
    assert said["readers"][0]["difference_ci"] == said["over_readers"][0]["difference_ci"] == [None, None]
    assert "+0.000 (no interval)" in (tmp_path / "readers.html").read_text()
    assert (tmp_path / "readers.png").exists()


def test_one_lesion_shows_nothing_of_others_and_gives_no_interval_but_a_shares(tmp_path: Path) -> None:
    grouped = Columns(label="label", scores=("score",), readers=("anna", "bert"), group="g")
    study = read_study(written(tmp_path, LONE), grouped, {})
    found = compare(study, sensitivities=(0.5,), draws=100)
    readers_report.write(study, found, tmp_path)
    said = json.loads((tmp_path / "readers.json").read_text())
    anna, bert = said["algorithms"][0]["readers"]
    assert (said["auc"], said["auc_ci"]) == (0.75, [None, None])
    assert (bert["difference"], bert["difference_ci"]) == (1.0, [None, None])
    assert said["algorithms"][0]["over_readers"][0]["sensitivity"]["mean_ci"] == [None, None], "readers who differ are no lesions"
    assert anna["sensitivity_ci"] == pytest.approx(wilson(1, 1))
    assert "AUC 0.750 (no interval), n 4." in readers_report.sentences(found[0])[0]
    assert any("are of one group" in note for note in said["notes"])


def test_draws_that_vary_keep_their_interval_for_a_difference() -> None:
    (one,) = compare(read_study(published(), CROWD, {"crowd_score": 0.3}), draws=200)
    assert one.points[0].difference.low < one.points[0].difference.value < one.points[0].difference.high


DIAGNOSES = "dx,score,anna,bert\nmelanoma,0.9,melanoma,melanoma\nmelanoma,0.4,nevus,melanoma\nnevus,0.5,melanoma,\nnevus,0.2,nevus,nevus\nlentigo,0.1,nevus,nevus\n"
NAMED = Columns(label="dx", scores=("score",), readers=("anna", "bert"), positive="melanoma")


def test_one_diagnosis_stands_against_all_others_and_the_notes_name_them(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, DIAGNOSES), NAMED, {})
    assert (int(study.truth.sum()), len(study.truth)) == (2, 5)
    found = compare(study, draws=100)
    notes = readers_report.as_values(study, found)["notes"]
    assert "Labels other than 'melanoma' count as negative: 'nevus' (2), 'lentigo' (1)." in notes
    assert "Calls other than 'melanoma' count as negative: 'nevus' (5)." in notes
    readers_report.write(study, found, tmp_path)
    assert "lentigo" in (tmp_path / "readers.html").read_text()


def test_words_that_differ_by_capitals_are_one(tmp_path: Path) -> None:
    said = DIAGNOSES.replace("0.4,nevus", "0.4,Nevus").replace("melanoma,0.9,melanoma", "Melanoma,0.9,MELANOMA")
    study, plain = (read_study(written(tmp_path, text), replace(NAMED, readers=("bert",)), {}) for text in (said, DIAGNOSES))
    assert (study.truth.tolist(), study.readers[0].calls.tolist()) == (plain.truth.tolist(), plain.readers[0].calls.tolist())


def test_calls_of_other_numbers_than_zero_and_one_are_no_calls_where_another_number_is_positive(tmp_path: Path) -> None:
    table = written(tmp_path, "dx,score,anna\n2,0.9,2\n1,0.4,1\n2,0.5,1\n")
    with pytest.raises(UnusableTable, match=r"column 'anna': calls are numbers, of which 1 is positive, and --positive 2 says otherwise; write 0 and 1"):
        read_study(table, Columns(label="dx", scores=("score",), readers=("anna",), positive="2"), {})


def test_the_terminal_names_the_words_that_count_as_negative(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path, DIAGNOSES)
    with patch.dict(os.environ, {"COLUMNS": "200"}):
        words = ["--label", "dx", "--score", "score", "--reader", "anna", "--positive", "melanoma", "--draws", "100"]
        assert run(["bundles", "readers", str(table), *words]) == ExitCode.OK
    assert "'nevus' (2), 'lentigo' (1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("0.2,nevus", "0.2,n/a", "column 'anna': calls other than 'melanoma' are 'nevus' (2), 'n/a' (1); write one word"),
        ("0.5,melanoma", "0.5,melanom", "column 'anna': calls other than 'melanoma' are 'nevus' (3), 'melanom' (1)"),
        (
            ",\nnevus,0.2,nevus,nevus\nlentigo,0.1,nevus,nevus",
            ",unread\nnevus,0.2,nevus,0\nlentigo,0.1,nevus,0",
            "column 'bert': calls other than 'melanoma' are numbers (2), 'unread' (1)",
        ),
    ],
)
def test_two_words_for_a_negative_call_are_refused_with_their_counts(tmp_path: Path, before: str, after: str, named: str) -> None:
    table = written(tmp_path, DIAGNOSES.replace(before, after))
    with pytest.raises(UnusableTable) as told:
        read_study(table, NAMED, {})
    assert f"{table}, {named}" in str(told.value)
    assert "empty where the image was not read" in told.value.remedy


def test_in_one_row_a_call_the_one_column_has_one_word_for_negatives(tmp_path: Path) -> None:
    long = LONG.replace(",1,1,0", ",mel,1,0").replace(",1,0,0", ",mel,0,0").replace(",0,0,0", ",nv,0,0").replace(",0,1,0", ",not read,1,0")
    columns = Columns(label="label", scores=("score",), readers=("reader",), image="image", call="call", positive="mel")
    with pytest.raises(UnusableTable, match=r"column 'call': calls other than 'mel' are 'nv' \(2\), 'not read' \(1\)"):
        read_study(written(tmp_path, long), columns, {})


def test_calls_of_numbers_need_no_word_beside_labels_of_names(tmp_path: Path) -> None:
    numbers = DIAGNOSES.replace(",melanoma", ",1").replace(",nevus", ",0")
    study = read_study(written(tmp_path, numbers), NAMED, {})
    assert [one.calls.tolist().count(1) for one in study.readers] == [2, 2]
    assert not any("Calls other" in note for note in study.notes)


def test_every_documented_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, WIDE, "study.csv")
    written(tmp_path, LONG, "calls.csv")
    written(tmp_path, "image,diagnosis,network,anna\na,acne,acne,acne\nb,keloid,acne,keloid\nc,psoriasis,acne,acne\n", "classes.csv")
    (tmp_path / "lesion-size-2020_metadata.csv").symlink_to(published())
    monkeypatch.chdir(tmp_path)
    for words in documented("readers"):
        with patch.dict(os.environ, {"COLUMNS": "200"}):
            assert run([*words, "--draws", "100"]) == ExitCode.OK, capsys.readouterr().err
    assert (tmp_path / "out" / "readers.html").exists()


def test_a_missing_column_ends_the_command_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path, WIDE)
    assert run(["bundles", "readers", str(table), "--label", "label", "--score", "none"]) == ExitCode.FAILED
    assert "no column 'none'; its columns are" in capsys.readouterr().err
