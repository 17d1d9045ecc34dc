"""`derm-pacs bundles embed`: t-SNE of what a bundle's network sees, in a table of images or in stored cases.

Pictures of stored cases come from outside. They are decoded by the bundle's confined runner, as its previews, and this process
gets arrays of pixels alone; the network then reads the previews here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derm_pacs.cli.bundle_folder import bundle_folder
from derm_pacs.cli.bundle_output import output_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.named_path import named_path
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, Config, Json
from derm_pacs.cli.print.terminal import print_json, say
from derm_pacs.cli.refused import refused
from derm_pacs.cli.training_packages import training_packages

if TYPE_CHECKING:
    from derm_pacs.cli.opening import Opened
    from derm_pacs.domain.study import StoredInstance
    from derm_pacs.ledger.read_by import ReadBy
    from derm_training.experiments.embedding import Embedding, Features, Shown

BundleOrName = Annotated[str, typer.Argument(metavar="BUNDLE", help="With --data: the bundle's folder, or its name as for `bundles evaluate`. Otherwise the name of an installed bundle.")]
Data = Annotated[Path | None, typer.Option("--data", metavar="TABLE", help="Images of a table, coloured by their label; without it the stored cases that the bundle has read, coloured by its call.")]
Split = Annotated[str, typer.Option("--split", metavar="val|test|train|all", help="With --data: which images.")]
Cases = Annotated[list[str], typer.Option("--case", default_factory=list, show_default=False, metavar="CASE", help="Without --data: number or Study Instance UID of a case; again for each. Otherwise all.")]
Limit = Annotated[int, typer.Option("--limit", min=5, max=20_000, help="At most so many images of the table (the first), or stored cases (the newest).")]
Perplexity = Annotated[float, typer.Option("--perplexity", min=1.0, max=200.0, help="About how many neighbours each picture has; shrinks where pictures are few.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for embedding.png, .csv, .json and .html.")]
Why = Annotated[str, typer.Option("--reason", help="Without --data: why, for the audit trail.")]


def embed(
    bundle: BundleOrName, *, data: Data = None, split: Split = "all", case: Cases, limit: Limit = 2000, perplexity: Perplexity = 30.0,
    out: Out = Path("embedding"), config: Config = DEFAULT_CONFIG, actor: Actor, reason: Why = "embedding",
    as_json: Json = False,
) -> None:
    """Plot by t-SNE which pictures a bundle's network sees as alike: those of a table by label, or of stored cases by its call.

    The same pictures give the same plane. Stored pictures are decoded in the bundle's confined runner and read at their preview's size (at most 1024
    pixels a side); looking at them stands in the audit trail. The report says what such a plot does not show.

    Examples:
        derm-pacs bundles embed melanoma_nevus_alexnet --data images/MELNEV_BALANCED.csv --split val --out embedding
        derm-pacs bundles embed melanoma_nevus_alexnet --config /etc/derm-pacs/derm-pacs.toml --out embedding --reason "drift since May"
    """
    with training_packages():
        from derm_training.experiments import embedding
        from derm_training.measuring.statement import RESEARCH_USE
    output_folder(out, "--out", mode=0o700)
    asked = _Asked(limit=limit, perplexity=perplexity)
    with refused(ValueError, remedy="look at the table, or take more cases"):
        if data is not None:
            found = _of_table(bundle, named_path(data, "--data"), split, asked)
        else:
            from derm_pacs.cli.opening import opened

            with opened(config) as here:
                found = _of_cases(here, bundle, case, asked, (actor, reason))
    embedding.write(found, out)
    if as_json:
        print_json(embedding.as_values(found))
        return
    for sentence in (found.title, *found.sentences(), *embedding.LIMITS, RESEARCH_USE):
        print(sentence)
    say(f"embedding.png, .csv, .json and .html are in {out}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    limit: int
    perplexity: float


def _of_table(bundle: str, data: Path, split: str, asked: _Asked) -> "Embedding":
    with training_packages():
        from derm_networks.served import open_bundle
        from derm_training.experiments.embedding import Shown, embed, pooled_features
        from derm_training.tables.manifest import read_rgb
        from derm_training.tables.selection import select, synthetic
    served = open_bundle(bundle_folder(bundle))
    description = served.description
    labels = [one["id"] for one in description["outputs"][0].get("classes", ())]
    chosen = select(data, split=split, labels=labels, colour=description["input"]["colour"])
    rows = chosen.rows[: asked.limit]
    left_out = chosen.left_out | {"beyond --limit": len(chosen.rows) - len(rows)}
    return embed(
        [
            Shown(name=str(row.image), label=row.label, about=(("source", row.source), ("dataset", row.dataset), ("split", row.split)), drawn=synthetic(row))
            for row in rows
        ],
        (pooled_features(served, read_rgb(row.image)) for row in rows),
        title=f"{description['title']} {description['version']}: features of {data.name}, split {chosen.split}",
        coloured_by="label",
        notes=[f"Left out: {count} images {reason}." for reason, count in left_out.items() if count],
        perplexity=asked.perplexity,
    )


def _of_cases(here: "Opened", name: str, cases: Sequence[str], asked: _Asked, who: tuple[str, str]) -> "Embedding":
    with training_packages():
        from derm_training.experiments.embedding import embed
    from derm_pacs.cli.cases import no_such_case
    from derm_pacs.ledger import audit, reading
    from derm_pacs.ledger.read_by import read_by

    numbers = []
    for key in cases:
        number = here.database.transaction(lambda tx, key=key: reading.case_id_of(tx, key))  # type: ignore[misc]
        if number is None:
            raise no_such_case(key)
        numbers.append(number)
    read = here.database.transaction(lambda tx: read_by(tx, name, cases=numbers, limit=asked.limit))
    if read is None:
        raise CommandError(ExitCode.NOT_FOUND, f"no bundle {name!r} is installed", "see: derm-pacs bundles list; or name images by --data")
    here.database.transaction(
        lambda tx: audit.append(
            tx, actor=who[0], action="bundle.embed", subject=f"bundle {name}", reason=who[1],
            detail={"cases": [case for case, _ in read.revisions]}, now=datetime.now(UTC),
        )
    )  # fmt: skip
    shown, features, notes = _looked_at(here, read)
    return embed(
        shown,
        features,
        title=f"{read.bundle.title} {read.bundle.version}: features of {len(read.revisions)} stored cases",
        coloured_by="call",
        notes=["Features of previews, at most 1024 pixels a side; a call is no diagnosis.", *notes],
        perplexity=asked.perplexity,
    )


def _looked_at(here: "Opened", read: "ReadBy") -> tuple[list["Shown"], list["Features"], list[str]]:
    """Return the pictures that the bundle called as a whole, their features, and what was left out."""
    from derm_networks.served import open_bundle
    from derm_pacs.domain.errors import Defect
    from derm_pacs.pipeline.runners import Runners
    from derm_pacs.spool.read import payload
    from derm_training.experiments.embedding import Shown, pooled_features

    shown: list[Shown] = []
    features: list[Features] = []
    gone = 0
    runners = Runners(here.settings.analysis)
    try:
        served = None
        for case_id, image, calls in _called(here, read):
            try:
                part10 = payload(here.settings.spool_dir, image.place)
            except Defect:
                gone += 1  # retention has deleted it, or its bytes are damaged
                continue
            previews = runners.previews(read.folder, read.bundle.content_hash, part10)
            served = served or open_bundle(read.folder)  # its files were verified by the runner's start
            for frame, call in calls.items():
                if frame in previews:
                    features.append(pooled_features(served, previews[frame]))
                    about = (("case", str(case_id)), ("frame", str(frame)))
                    shown.append(Shown(name=f"{image.sop_instance_uid} frame {frame}", label=call, about=about))
    finally:
        runners.close()
    return shown, features, [f"Left out: {gone} images that are no longer stored."] if gone else []


def _called(here: "Opened", read: "ReadBy") -> Iterator[tuple[int, "StoredInstance", dict[int, str]]]:
    """Give case, image and the call of each frame that the bundle classified as a whole; crops have no preview of their own."""
    from derm_pacs.domain.findings import Classification
    from derm_pacs.domain.operating_point import call
    from derm_pacs.ledger import runs

    for case_id, revision_id in read.revisions:
        findings = here.database.transaction(lambda tx, revision=revision_id: runs.case_findings(tx, revision))  # type: ignore[misc]
        (run,) = (one for one in findings.runs if one.bundle.content_hash == read.bundle.content_hash)
        points = {one.output: one for one in run.operating_points}
        images: dict[str, tuple[StoredInstance, dict[int, str]]] = {}
        for finding in findings.findings:
            whole = [one for one in finding.outcomes if isinstance(one, Classification) and one.region is None]
            if finding.bundle_hash == read.bundle.content_hash and whole:
                point = points.get(whole[0].output)
                said = call(whole[0], point) if point else max(whole[0].probabilities, key=lambda one: one.probability).class_id
                images.setdefault(finding.image.sop_instance_uid, (finding.image, {}))[1][finding.frame] = said
        for image, calls in images.values():
            yield case_id, image, calls
