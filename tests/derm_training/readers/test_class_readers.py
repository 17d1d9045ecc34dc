"""Several classes beside readers: figures by hand, subsets, any order of rows, errors in words."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib", reason="needs the extra 'train'")

from derm_training.measuring.statistics import effective, wilson
from derm_training.readers import class_readers_report
from derm_training.readers.class_readers import ClassStudy, class_rates, compare_classes, read_class_study
from derm_training.readers.dichotomous import once
from derm_training.readers.reader_tables import UNREAD, Columns
from derm_training.readers.sheet import UnusableTable
from derm_training.readers.simulated_readers import MARK, with_simulated_class_readers

CLASSES = ("acne", "keloid")
TABLE = (
    "image,dx,net,anna,p_acne,p_keloid,p_eczema\n"
    "a,acne,acne,acne,0.2,0.1,0.7\nb,acne,eczema,keloid,0.1,0.2,0.7\nc,keloid,keloid,keloid,0.1,0.3,0.6\nd,keloid,acne,,0.5,0.4,0.1\ne,eczema,acne,acne,0.1,0.1,0.8\n"
)
WIDE = Columns(label="dx", scores=(), readers=("anna",))


def written(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return folder / "t.csv"


def test_accuracy_sensitivity_and_specificity_are_those_counted_by_hand(tmp_path: Path) -> None:
    study = read_class_study(written(tmp_path, TABLE), WIDE, CLASSES, prediction="net")
    found = compare_classes(study, draws=100)
    assert found.algorithm.accuracy.value == pytest.approx(2 / 4)
    acne, keloid = found.classes
    assert (acne.n, acne.sensitivity.value, acne.specificity.value) == (2, 0.5, 0.5)
    assert (keloid.n, keloid.sensitivity.value, keloid.specificity.value) == (2, 0.5, 1.0)
    (anna,) = found.readers
    assert anna.accuracy.n == 3
    assert anna.accuracy.value == pytest.approx(2 / 3)
    assert anna.algorithm is not None
    assert anna.algorithm.value == pytest.approx(2 / 3), "on the images that the reader read"
    notes = " ".join(study.notes)
    assert "1 of 5 images are of other classes" in notes
    assert "net named another class in 1 images" in notes
    assert "anna did not read 1 of 4 images" in notes


def test_probabilities_are_compared_among_the_classes_asked_for(tmp_path: Path) -> None:
    table = written(tmp_path, TABLE)
    on_all = read_class_study(table, WIDE, ("acne", "keloid", "eczema"), probabilities="p_")
    on_two = read_class_study(table, WIDE, CLASSES, probabilities="p_")
    assert compare_classes(on_all, draws=100).algorithm.accuracy.value == pytest.approx(1 / 5)
    assert compare_classes(on_two, draws=100).algorithm.accuracy.value == pytest.approx(2 / 4)


def test_one_row_a_call_says_the_same(tmp_path: Path) -> None:
    wide = read_class_study(written(tmp_path, TABLE), WIDE, CLASSES, prediction="net")
    long = "image,dx,net,who,call\na,acne,acne,anna,acne\nb,acne,eczema,anna,keloid\nc,keloid,keloid,anna,keloid\nd,keloid,acne,anna,\n"
    columns = Columns(label="dx", scores=(), readers=("who",), image="image", call="call")
    study = read_class_study(written(tmp_path, long), columns, CLASSES, prediction="net")
    assert compare_classes(study, draws=100).readers[0].accuracy.value == compare_classes(wide, draws=100).readers[0].accuracy.value


def test_the_order_of_rows_changes_nothing_not_even_an_interval(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = np.array(["acne", "keloid", "eczema"])
    rows = [",".join(names[random.integers(0, 3, 3)]) for _ in range(60)]

    def found(order: Sequence[int]) -> object:
        table = written(tmp_path, "dx,net,anna\n" + "\n".join(rows[i] for i in order) + "\n")
        study = read_class_study(table, WIDE, names.tolist(), prediction="net")
        return class_readers_report.as_values(study, compare_classes(study, draws=100))

    assert found(range(60)) == found(random.permutation(60).tolist())


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(UNREAD, 3), st.integers(0, 3)), min_size=1, max_size=30).filter(
        lambda rows: any(call != UNREAD and times for _, call, times in rows)
    )
)
def test_weighted_rates_are_those_of_images_repeated(rows: list[tuple[int, int, int]]) -> None:
    truth, calls, times = (np.array(one, dtype=np.intp) for one in zip(*rows, strict=True))
    weighted = class_rates(truth, calls, 3, times[None].astype(np.uint16))
    truth, calls = np.repeat(truth, times), np.repeat(calls, times)
    repeated = class_rates(truth, calls, 3, once(len(truth)))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)
    read = calls != UNREAD
    assert weighted[0, 0] == pytest.approx(float((truth[read] == calls[read]).mean()))
    for one in range(3):
        mine = truth[read] == one
        if mine.any():
            assert weighted[0, 3 + one] == pytest.approx(float((calls[read][mine] == one).mean()))
        if not mine.all():
            assert weighted[0, 6 + one] == pytest.approx(float((calls[read][~mine] != one).mean()))


def test_a_reader_who_guesses_has_no_part_in_the_algorithms_figures(tmp_path: Path) -> None:
    alone = read_class_study(written(tmp_path, TABLE), Columns(label="dx", scores=(), readers=()), CLASSES, prediction="net")
    found = compare_classes(alone, draws=100)
    assert found.readers == ()
    assert found.accuracy is None
    assert found.algorithm.accuracy.value == 0.5


def test_simulated_readers_of_classes_are_called_so(tmp_path: Path) -> None:
    text = "dx,net\n" + "".join(f"{one},acne\n" for one in ("acne", "keloid", "eczema") * 60)
    columns = Columns(label="dx", scores=(), readers=())
    study = read_class_study(written(tmp_path, text), columns, ("acne", "keloid", "eczema"), prediction="net")
    shown: ClassStudy = with_simulated_class_readers(study, 5, 2)
    found = compare_classes(shown, draws=100)
    class_readers_report.write(shown, found, tmp_path / "out")
    said = json.loads((tmp_path / "out" / "readers.json").read_text())
    assert said["simulated_readers"] is True
    assert all(MARK in one["name"] for one in said["readers"])
    assert MARK in (tmp_path / "out" / "readers.html").read_text()
    assert found.accuracy is not None
    assert 0.5 < found.accuracy.least < found.accuracy.largest < 1


def test_one_lesion_gives_no_interval_but_a_shares_and_every_renderer_says_so(tmp_path: Path) -> None:
    lone = "g,dx,net,anna,bert\nl,acne,acne,acne,keloid\nl,keloid,keloid,acne,acne\n"
    columns = Columns(label="dx", scores=(), readers=("anna", "bert"), group="g")
    study = read_class_study(written(tmp_path, lone), columns, CLASSES, prediction="net")
    found = compare_classes(study, draws=100)
    class_readers_report.write(study, found, tmp_path)
    said = json.loads((tmp_path / "readers.json").read_text())
    assert said["algorithm"]["accuracy_ci"] == pytest.approx(wilson(1, 1))
    assert (said["readers"][0]["difference"], said["readers"][0]["difference_ci"]) == (0.5, [None, None])
    assert said["over_readers"]["difference_ci"] == said["over_readers"]["accuracy"]["mean_ci"] == [None, None]
    assert any("are of one group" in note for note in said["notes"])
    page = (tmp_path / "readers.html").read_text()
    assert "+0.500 (no interval)" in page
    assert (tmp_path / "readers.png").exists()


def test_where_nobody_errs_the_difference_has_no_interval(tmp_path: Path) -> None:
    table = written(tmp_path, "dx,net,anna\nacne,acne,acne\nacne,acne,acne\nkeloid,keloid,keloid\nkeloid,keloid,keloid\n")
    found = compare_classes(read_class_study(table, WIDE, CLASSES, prediction="net"), draws=100)
    assert found.difference is not None
    assert found.difference.signed() == "+0.000 (no interval)"
    assert (found.algorithm.accuracy.low, found.algorithm.accuracy.high) == pytest.approx(wilson(1, 4))


def test_means_over_classes_are_as_uncertain_as_the_rarest_class_makes_them(tmp_path: Path) -> None:
    lines = ["dx,net,anna", *["acne,acne,acne"] * 60, *["keloid,keloid,keloid"] * 2, "keloid,keloid,"]
    study = read_class_study(written(tmp_path, "\n".join(lines) + "\n"), WIDE, CLASSES, prediction="net")
    found = compare_classes(study, draws=100)
    assert (found.algorithm.accuracy.low, found.algorithm.accuracy.high) == pytest.approx(wilson(1, 63))
    for point, rare in ((found.algorithm, 3), (found.readers[0], 2)):
        limits = wilson(1, 4 / (1 / 60 + 1 / rare))
        assert (point.sensitivity.low, point.sensitivity.high) == pytest.approx(limits), "the keloids that were read decide"
        assert (point.specificity.low, point.specificity.high) == pytest.approx(limits)
    assert effective([60, 0], 60) == 60, "a class without an image has no part in the mean"


@pytest.mark.parametrize(
    ("text", "classes", "options", "named"),
    [
        (TABLE, ("acne", "wart"), {"prediction": "net"}, "column 'dx': no image is 'wart'; the column holds acne, eczema, keloid"),
        (TABLE, CLASSES, {}, "not named once; name their column by --prediction"),
        (TABLE, CLASSES, {"prediction": "gone"}, "no column 'gone'"),
        (TABLE, ("acne",), {"prediction": "net"}, "name each class once"),
        (TABLE.replace("a,acne,acne", "a,acne,"), CLASSES, {"prediction": "net"}, "column 'net', row 2: the algorithm has called no class"),
        (TABLE.replace("0.3,0.6", "x,0.6"), CLASSES, {"probabilities": "p_"}, "column 'p_keloid', row 4: 'x' is no number"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_words(
    tmp_path: Path, text: str, classes: tuple[str, ...], options: dict[str, str], named: str
) -> None:
    with pytest.raises(UnusableTable, match=named):
        read_class_study(written(tmp_path, text), WIDE, classes, **options)  # type: ignore[arg-type]
