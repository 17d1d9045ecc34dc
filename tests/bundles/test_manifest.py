"""The manifest names a bundle's bytes; what no bundle may hold is refused by its name, with the reason."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.bundles.manifest import FileEntry, NotPlain, content_hash, entry, files, written

entries = st.builds(
    FileEntry,
    path=st.text(min_size=1, max_size=20),
    size=st.integers(0, 10**9),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
)


@given(st.lists(entries, max_size=6, unique_by=lambda one: one.path), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_change_the_content_hash(listed: list[FileEntry], random: object) -> None:
    turned = listed[::-1]
    assert content_hash(written(listed)) == content_hash(written(turned))


@given(st.lists(entries, min_size=1, max_size=6, unique_by=lambda one: one.path))
def test_any_other_file_changes_the_content_hash(listed: list[FileEntry]) -> None:
    assert content_hash(written(listed)) != content_hash(written(listed[1:]))


def test_the_manifest_is_canonical_json() -> None:
    listed = written([entry("b", b"2"), entry("ä", b""), entry("a", b"1")])
    digests = [hashlib.sha256(content).hexdigest() for content in (b"1", b"2", b"")]
    expected = ",".join(
        f'{{"path":"{path}","sha256":"{digest}","size":{size}}}'
        for path, digest, size in zip("abä", digests, (1, 1, 0), strict=True)
    )
    assert listed.decode("utf-8") == f'{{"files":[{expected}]}}'
    assert json.loads(listed)


def test_files_are_listed_sorted_without_the_manifest_itself(source: Path) -> None:
    (source / "MANIFEST.json").write_text("{}")
    assert files(source) == (
        "LICENSE", "configs/inference.json", "configs/serving.json", "docs/README.md", "golden/0.png",
        "models/model.safetensors",
    )  # fmt: skip


def link(folder: Path) -> None:
    (folder / "docs" / "passwords").symlink_to("/etc/passwd")


def linked_folder(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def control_character(folder: Path) -> None:
    (folder / "a\nb").write_text("")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (link, "docs/passwords is a link"),
        (linked_folder, "more is a link"),
        (pipe, "pipe is no ordinary file"),
        (control_character, r"'a\\nb' is no name"),
    ],
)
def test_what_is_no_ordinary_file_is_refused_by_name(source: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(source)
    with pytest.raises(NotPlain, match=said):
        files(source)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("model.pt", "pickled"), ("model.PTH", "pickled"), ("x.pkl", "pickled"), ("model.ts", "TorchScript"),
        ("model.pt2", "unpickles"), ("model.onnx", "outside the bundle"), ("ops.so", "machine code"),
        ("__pycache__/x.pyc", "nobody can read"),
    ],
)  # fmt: skip
def test_what_could_run_when_loaded_is_refused_with_the_reason(source: Path, name: str, why: str) -> None:
    (source / "scripts" / name).parent.mkdir(parents=True)
    (source / "scripts" / name).write_bytes(b"")
    with pytest.raises(NotPlain, match=f"scripts/{name} is not taken: .*{why}"):
        files(source)
