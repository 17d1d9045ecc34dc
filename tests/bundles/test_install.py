"""A bundle's way in and into force, on a real database: proven, named by its bytes, and written to the audit trail."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from derm_pacs.bundles.activate import activate
from derm_pacs.bundles.install import install
from derm_pacs.bundles.listing import listed
from derm_pacs.bundles.threshold import set_threshold
from derm_pacs.bundles.verify import unusable, verify
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.errors import Defect, Rejected
from derm_pacs.domain.golden import GoldenRefusal, GoldenResult, Proof
from derm_pacs.domain.reasons import RUNNER_FAILED
from derm_pacs.domain.routing import Route
from derm_pacs.inference.client import self_test
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import AuditRow, OperatingPointRow
from tests.inference.conftest import DENSENET, describe

pytestmark = pytest.mark.server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def says(measured: float) -> Callable[[Path, ServingDescription], Sequence[Proof]]:
    """Return a self-test that measures this for every promised figure."""

    def test(folder: Path, description: ServingDescription) -> Sequence[Proof]:
        assert (folder / description.weights.file).is_file()
        return [
            GoldenResult(file=one.file, name=name, expected=expected, measured=measured, tolerance=one.tolerance or 0)
            for one in description.golden
            for name, expected in one.expect.items()
        ]

    return test


def put_in(database: Database, source: Path, into: Path, *, measured: float = 0.7) -> InstalledBundle:
    return install(database, source, into, says(measured), actor="lead@site", reason="trial", now=NOW)


def trail(database: Database) -> list[tuple[str, str, str]]:
    rows = database.transaction(lambda tx: tx.scalars(select(AuditRow).order_by(AuditRow.id)).all())
    return [(row.action, row.subject, row.actor) for row in rows]


def loosen(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_an_installed_bundle_is_copied_entered_and_audited_but_not_active(
    database: Database, source: Path, tmp_path: Path
) -> None:
    made = put_in(database, source, tmp_path / "bundles")
    assert made.folder == tmp_path / "bundles" / "tiny" / f"1.0.0-{made.identity.content_hash[:12]}"
    assert not made.active
    (point,) = made.operating_points
    assert (point.id, point.threshold, point.set_by) == ("default", 0.5, "bundle author")
    assert verify(made.folder, made.identity.content_hash).name == "tiny"
    assert trail(database) == [("bundle.install", "tiny 1.0.0", "lead@site")]
    assert database.transaction(audit.verify) == audit.Whole(
        rows=1, last_hash=database.transaction(lambda tx: tx.scalars(select(AuditRow.hash)).one())
    )
    assert {path.stat().st_mode & 0o222 for path in (made.folder, *made.folder.rglob("*"))} == {0}
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["tiny"]


def test_a_bundle_whose_metadata_tell_its_version_is_installed(database: Database, source: Path, tmp_path: Path) -> None:
    (source / "configs" / "metadata.json").write_text('{"version": "1.0.0"}')
    assert put_in(database, source, tmp_path / "bundles").identity.version == "1.0.0"


def test_the_same_bytes_again_change_nothing(database: Database, source: Path, tmp_path: Path) -> None:
    first = put_in(database, source, tmp_path / "bundles")
    assert put_in(database, source, tmp_path / "bundles") == first
    assert put_in(database, first.folder, tmp_path / "bundles") == first  # its own installed copy, too
    assert len(trail(database)) == 1


def test_the_same_version_with_other_bytes_is_refused(
    database: Database, source: Path, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    put_in(database, source, tmp_path / "bundles")
    other = make_bundle(tmp_path / "other", weights=b"other numbers")
    with pytest.raises(Rejected, match=r"installed with other bytes .* give it a new version"):
        put_in(database, other, tmp_path / "bundles")
    assert len(list((tmp_path / "bundles" / "tiny").iterdir())) == 1


def test_golden_figures_that_disagree_keep_the_bundle_out(database: Database, source: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"golden/0\.png: melanoma is 0\.720000, promised 0\.700000 ± 0\.01"):
        put_in(database, source, tmp_path / "bundles", measured=0.72)
    assert list((tmp_path / "bundles").iterdir()) == []
    assert database.transaction(bundles.installed) == ()
    assert trail(database) == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("", r"golden/0\.png is let through, promised is its refusal as out_of_distribution"),
        ("no_skin", r"golden/0\.png is refused as no_skin \(too little\), promised is its refusal as out_of_distribution"),
    ],
)
def test_a_golden_picture_that_is_not_refused_as_promised_keeps_the_bundle_out(
    database: Database, source: Path, tmp_path: Path, reason: str, said: str
) -> None:
    def proves(folder: Path, description: ServingDescription) -> Sequence[Proof]:
        figure = GoldenResult(file="golden/0.png", name="melanoma", expected=0.7, measured=0.7, tolerance=0.01)
        refusal = GoldenRefusal(file="golden/0.png", promised="out_of_distribution", reason=reason, detail="too little")
        return [figure, refusal]

    with pytest.raises(Rejected, match=said):
        install(database, source, tmp_path / "bundles", proves, actor="lead", reason="trial", now=NOW)
    assert database.transaction(bundles.installed) == ()


def test_a_runner_that_fails_keeps_the_bundle_out(database: Database, source: Path, tmp_path: Path) -> None:
    def fails(folder: Path, description: ServingDescription) -> Sequence[Proof]:
        raise Defect(RUNNER_FAILED, "weights do not fit")

    with pytest.raises(Defect, match="weights do not fit"):
        install(database, source, tmp_path / "bundles", fails, actor="lead", reason="trial", now=NOW)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_bundle_whose_explanation_names_no_layer_of_its_network_is_kept_out_by_name(
    database: Database, tmp_path: Path
) -> None:
    classes = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]
    output = {"kind": "classification", "id": "diagnosis", "activation": "softmax", "classes": classes, "lesion_rule": "mean"}
    explanation = {"method": "grad_cam", "output": "diagnosis", "layer": "features.denseblock9"}
    describe(tmp_path / "source", network=DENSENET, outputs=[output], explanation=explanation)
    with pytest.raises(Defect, match=r"explanation\.layer: the network densenet has no layer 'features\.denseblock9'"):
        install(database, tmp_path / "source", tmp_path / "bundles", self_test, actor="lead", reason="trial", now=NOW)
    assert list((tmp_path / "bundles").iterdir()) == []
    assert database.transaction(bundles.installed) == ()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "LICENSE").unlink(), "LICENSE is missing"),
        (lambda folder: (folder / "LICENSE").write_text(""), "LICENSE is empty"),
        (lambda folder: (folder / "configs" / "serving.json").unlink(), "serving.json is missing"),
        (lambda folder: (folder / "golden" / "0.png").unlink(), "golden/0.png is missing"),
        (lambda folder: (folder / "models" / "model.safetensors").write_bytes(b"x"), "described as"),
        (lambda folder: (folder / "models" / "model.pt").write_bytes(b"x"), "model.pt is not taken"),
        (lambda folder: (folder / "models" / "link").symlink_to("/etc/passwd"), "models/link is a link"),
        (shutil.rmtree, "is no folder"),
        (
            lambda folder: (folder / "configs" / "metadata.json").write_text('{"version": "1.1.0"}'),
            r"configs/metadata\.json tells version 1\.1\.0, configs/serving\.json 1\.0\.0",
        ),
        (lambda folder: (folder / "configs" / "metadata.json").write_text("{}"), r"configs/metadata\.json tells no version"),
        (lambda folder: (folder / "configs" / "metadata.json").write_text("no JSON"), r"configs/metadata\.json tells no version"),
    ],
)
def test_a_folder_that_is_no_bundle_is_refused_by_name(
    database: Database, source: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(source)
    with pytest.raises(Rejected, match=said) as refused:
        put_in(database, source, tmp_path / "bundles")
    assert refused.value.reason.code == "bundle_refused"
    assert not any((tmp_path / "bundles").glob("*"))


@pytest.mark.parametrize(
    ("features", "described", "said"),
    [
        (b"features", b"features", ""), (None, b"features", "models/features.safetensors is missing"),
        (b"", b"", "models/features.safetensors is empty"), (b"other", b"features", "described as"),
    ],
)  # fmt: skip
def test_the_features_by_which_novelty_is_told_are_a_file_of_the_bundle_like_its_weights(
    database: Database, make_bundle: Callable[..., Path], tmp_path: Path, features: bytes | None, described: bytes, said: str
) -> None:
    novelty = {
        "kind": "feature_distance", "file": "models/features.safetensors", "maximum": 9.0,
        "sha256": hashlib.sha256(described).hexdigest(),
    }  # fmt: skip
    limits = {"min_laplacian_variance": 1.0, "max_dark_fraction": 0.9, "min_contrast": 2.0, "novelty": novelty}
    source = make_bundle(tmp_path / "novel", quality=limits)
    if features is not None:
        (source / "models" / "features.safetensors").write_bytes(features)
    if said:
        with pytest.raises(Rejected, match=said) as refused:
            put_in(database, source, tmp_path / "bundles")
        assert refused.value.reason.code == "bundle_refused"
        return
    made = put_in(database, source, tmp_path / "bundles")
    assert (made.folder / "models" / "features.safetensors").read_bytes() == features
    loosen(made.folder)
    (made.folder / "models" / "features.safetensors").write_bytes(b"Features")
    with pytest.raises(Defect, match=r"features\.safetensors was changed"):
        verify(made.folder, made.identity.content_hash)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (
            lambda folder: (folder / "models" / "model.safetensors").write_bytes(b"nombers"),
            "model.safetensors was changed",
        ),
        (lambda folder: (folder / "docs" / "more.txt").write_text("x"), "docs/more.txt was added"),
        (lambda folder: (folder / "docs" / "README.md").unlink(), "docs/README.md was removed"),
        (lambda folder: (folder / "MANIFEST.json").write_text("{}"), "MANIFEST.json was changed"),
        (lambda folder: (folder / "MANIFEST.json").unlink(), "MANIFEST.json"),
        (lambda folder: (folder / "docs" / "link").symlink_to("/etc/passwd"), "docs/link is a link"),
        (lambda folder: (folder / "x.pt").write_text(""), "x.pt is not taken"),
        (shutil.rmtree, "No such file"),
    ],
)
def test_a_tampered_copy_is_found_named_listed_kept_out_of_force_and_restored(
    database: Database, source: Path, tmp_path: Path, tamper: Callable[[Path], object], said: str
) -> None:
    made = put_in(database, source, tmp_path / "bundles")
    loosen(made.folder)
    tamper(made.folder)
    with pytest.raises(Defect, match=said) as found:
        verify(made.folder, made.identity.content_hash)
    assert found.value.reason.code == "bundle_changed"
    assert said in listed(database)[0].unusable
    with pytest.raises(Defect, match=said):
        activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW)
    put_in(database, source, tmp_path / "bundles")
    assert unusable(made.folder, made.identity.content_hash) == ""
    assert [action for action, _, _ in trail(database)] == ["bundle.install", "bundle.restore"]


def test_what_an_interrupted_installation_left_behind_is_taken_over(
    database: Database, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy was in its place, the row was not yet entered."""

    def loses_power(*arguments: object, **named: object) -> InstalledBundle:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bundles, "add", loses_power)
        put_in(database, source, tmp_path / "bundles")
    assert len(list((tmp_path / "bundles" / "tiny").iterdir())) == 1
    assert database.transaction(bundles.installed) == ()
    made = put_in(database, source, tmp_path / "bundles")
    assert listed(database)[0].unusable == ""
    assert trail(database) == [("bundle.install", "tiny 1.0.0", "lead@site")]
    assert database.transaction(bundles.installed) == (made,)


def test_activation_replaces_the_other_version_and_says_what_changes(
    database: Database, source: Path, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    put_in(database, source, tmp_path / "bundles")
    put_in(database, make_bundle(tmp_path / "next", version="1.1.0"), tmp_path / "bundles")
    assert activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW).active
    set_threshold(database, "tiny", "default", 0.3, actor="lead", reason="sensitivity", now=NOW)
    activate(database, "tiny", "1.1.0", routes=(), actor="lead", reason="better", now=NOW)
    states = {one.identity.version: one.active for one in database.transaction(bundles.installed)}
    assert states == {"1.0.0": False, "1.1.0": True}
    last = database.transaction(lambda tx: tx.scalars(select(AuditRow).order_by(AuditRow.id.desc())).first())
    assert last is not None
    assert (last.action, last.reason) == ("bundle.activate", "better")
    assert last.detail["before"] == "1.0.0"
    assert last.detail["then"] == {"default": 0.3}
    assert last.detail["now"] == {"default": 0.5}


def test_activating_what_is_active_changes_nothing(database: Database, source: Path, tmp_path: Path) -> None:
    put_in(database, source, tmp_path / "bundles")
    for _ in range(2):
        activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW)
    assert [action for action, _, _ in trail(database)] == ["bundle.install", "bundle.activate"]


def test_what_is_not_installed_cannot_be_activated(database: Database) -> None:
    with pytest.raises(Rejected, match=r"tiny 1\.0\.0") as refused:
        activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW)
    assert refused.value.reason.code == "bundle_unknown"


def test_a_demonstration_comes_into_force_only_where_no_clinical_route_names_it(
    database: Database, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    put_in(database, make_bundle(tmp_path / "source", grade="demonstration"), tmp_path / "bundles")
    clinical = route("dermoscopy", "tiny")
    with pytest.raises(Rejected, match="grade demonstration, and the clinical route dermoscopy names it"):
        activate(database, "tiny", "1.0.0", routes=(clinical,), actor="lead", reason="go", now=NOW)
    elsewhere = (replace(clinical, clinical=False), route("other", "another"))
    assert activate(database, "tiny", "1.0.0", routes=elsewhere, actor="lead", reason="demo", now=NOW).active


def route(name: str, *names: str) -> Route:
    return Route(name=name, sop_classes=frozenset(), modalities=frozenset(), bundles=names, destinations=("pacs",))


def test_a_moved_threshold_is_in_force_with_its_setter_and_the_old_one_stays_in_history(
    database: Database, source: Path, tmp_path: Path
) -> None:
    put_in(database, source, tmp_path / "bundles")
    activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW)
    later = NOW + timedelta(days=1)
    point = set_threshold(database, "tiny", "default", 0.35, actor="dr who", reason="sensitivity", now=later)
    assert (point.threshold, point.set_by, point.positive) == (0.35, "dr who", "melanoma")
    active = database.transaction(lambda tx: bundles.active(tx, "tiny"))
    assert active is not None
    assert active.operating_points == (point,)
    rows = database.transaction(lambda tx: tx.scalars(select(OperatingPointRow).order_by(OperatingPointRow.id)).all())
    assert [(row.threshold, row.set_by, row.set_at, row.current) for row in rows] == [
        (0.5, "bundle author", NOW, False),
        (0.35, "dr who", later, True),
    ]
    assert trail(database)[-1] == ("bundle.threshold", "tiny 1.0.0 default", "dr who")


@pytest.mark.parametrize(
    ("name", "point", "value", "code"),
    [
        ("tiny", "default", 1.01, "bundle_refused"),
        ("tiny", "default", -0.1, "bundle_refused"),
        ("tiny", "default", float("nan"), "bundle_refused"),
        ("tiny", "other", 0.5, "bundle_unknown"),
        ("none", "default", 0.5, "bundle_unknown"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(
    database: Database, source: Path, tmp_path: Path, name: str, point: str, value: float, code: str
) -> None:
    put_in(database, source, tmp_path / "bundles")
    activate(database, "tiny", "1.0.0", routes=(), actor="lead", reason="go", now=NOW)
    with pytest.raises(Rejected) as refused:
        set_threshold(database, name, point, value, actor="lead", reason="trial", now=NOW)
    assert refused.value.reason.code == code
    assert [action for action, _, _ in trail(database)] == ["bundle.install", "bundle.activate"]


def test_nobody_changes_anything_without_a_name_and_a_reason(database: Database, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="actor and a reason"):
        install(database, source, tmp_path / "bundles", says(0.7), actor=" ", reason="trial", now=NOW)
    assert database.transaction(bundles.installed) == ()
