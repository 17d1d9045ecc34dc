"""Cases on the screen: a list, and one case with its whole story. No patient data comes this far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from derm_pacs.cli.print.reasons import explained
from derm_pacs.cli.print.terminal import plain, print_json, stdout, table
from derm_pacs.cli.print.times import moment
from derm_pacs.domain.case import MEANING
from derm_pacs.ledger.reading import (
    CaseLine,
    CaseStory,
    FindingLine,
    ReceivedObject,
    RevisionStory,
    RunLine,
)
from derm_pacs.ledger.reading_results import DeliveryLine, ResultLine


def print_lines(lines: Sequence[CaseLine], zone: ZoneInfo, *, as_json: bool) -> None:
    """Print a list of cases."""
    if as_json:
        print_json([plain(one) | {"reason": explained(one.reason_code)} for one in lines])
        return
    rows = table("case", "state", "rev", "images", "changed", "study", "reason")
    for one in lines:
        rows.add_row(
            str(one.case_id), one.state, str(one.revision), str(one.images), moment(one.changed_at, zone),
            one.study_instance_uid, one.reason_code or "",
        )
    stdout().print(rows if lines else "no cases")


def print_story(story: CaseStory, zone: ZoneInfo, *, as_json: bool) -> None:
    """Print a case with its whole story."""
    if as_json:
        print_json(_story_as_plain(story))
        return
    out = stdout()
    out.print(f"Case {story.case_id}   study {story.study_instance_uid}   first seen {moment(story.created_at, zone)}")
    out.print("For research use; not for primary diagnosis.")
    _objects(out, story.objects, zone)
    for revision in story.revisions:
        _revision(out, revision, zone)


def _story_as_plain(story: CaseStory) -> dict[str, Any]:
    made: dict[str, Any] = plain(story)
    for shown, revision in zip(made["revisions"], story.revisions, strict=True):
        meaning, who = MEANING[revision.state]
        shown |= {"meaning": meaning, "who_acts": who, "reason": explained(revision.reason_code)}
        for delivery in shown["deliveries"]:
            delivery["reason"] = explained(delivery["reason_code"])
    return made


def _objects(out: Console, objects: Iterable[ReceivedObject], zone: ZoneInfo) -> None:
    rows = table("received", "role", "modality", "frames", "from", "rev", "SOP Instance UID")
    for one in objects:
        role = one.role if one.current else f"{one.role}, replaced"
        revisions = ",".join(str(number) for number in one.revisions)
        rows.add_row(
            moment(one.received_at, zone), role, one.modality, str(one.number_of_frames), one.sender, revisions, one.sop_instance_uid,
        )
    out.print()
    out.print(rows)


def _revision(out: Console, revision: RevisionStory, zone: ZoneInfo) -> None:
    meaning, who = MEANING[revision.state]
    out.print(f"\nRevision {revision.number}: {revision.state}", style="bold")
    out.print(f"  {meaning} Acts: {who}.")
    reason = explained(revision.reason_code)
    if reason is not None:
        detail = f" ({revision.reason_detail})" if revision.reason_detail else ""
        out.print(f"  Reason {reason['code']}: {reason['sentence']}{detail}\n  Remedy ({reason['who']}): {reason['remedy']}")
    if revision.closed_at is not None:
        out.print(f"  Complete as of {moment(revision.closed_at, zone)} ({revision.close_reason}), named {revision.hash}")
    if revision.attempts:
        out.print(f"  Tries of this stage: {revision.attempts}")
    _walk(out, revision, zone)
    for run in revision.runs:
        _run(out, run)
    _results(out, revision.results)
    _deliveries(out, revision.deliveries, zone)
    if revision.last_error:
        out.print("  Last error:")
        out.print("\n".join(f"    {line}" for line in revision.last_error.splitlines()))


def _walk(out: Console, revision: RevisionStory, zone: ZoneInfo) -> None:
    rows = table("  at", "state", "step", "by", "reason")
    for one in revision.walk:
        why = " ".join(part for part in (one.reason_code, one.detail) if part)
        rows.add_row(f"  {moment(one.at, zone)}", one.to_state, one.step or "", one.actor, why)
    out.print(rows)


def _run(out: Console, run: RunLine) -> None:
    bundle = run.bundle
    taken = ", findings taken over from the same pixels" if run.reused else ""
    out.print(f"  Run of {bundle.name} {bundle.version} ({bundle.grade}, {run.role}{taken}), content {bundle.content_hash}")
    for finding in run.findings:
        out.print(f"    {finding.sop_instance_uid} frame {finding.frame}: {_finding(finding, run)}")


def _finding(finding: FindingLine, run: RunLine) -> str:
    data = finding.data
    match finding.kind:
        case "classification":
            chances = {one["class_id"]: one["probability"] for one in data["probabilities"]}
            said = ", ".join(f"{name} {chance:.1%}" for name, chance in chances.items())
            return _on_the_crop(data) + "; ".join([said, *_against_thresholds(finding.output, chances, run)])
        case "segmentation":
            share = data["pixels"] / (data["rows"] * data["columns"])
            return f"{finding.output}: {data['pixels']} pixels inside, {share:.1%} of the image" if data["pixels"] else f"{finding.output}: nothing found"
        case "crops":
            places = [_crop(one) for one in data["rectangles"]]
            return f"crops around {finding.output}: {'; '.join(places) or 'none'}"
        case _:
            reason = explained(str(data["reason"]))
            sentence = reason["sentence"] if reason else ""
            detail = f" ({data['detail']})" if data["detail"] else ""
            return _on_the_crop(data) + f"not analysed, because {data['reason']}: {sentence}{detail}"


def _on_the_crop(data: Mapping[str, Any]) -> str:
    return f"read on the crop at {_crop(data['region'])}: " if "region" in data else ""


def _crop(rectangle: Mapping[str, int]) -> str:
    return f"column {rectangle['left'] + 1}, row {rectangle['top'] + 1}, {rectangle['width']} x {rectangle['height']} pixels"


def _against_thresholds(output: str, chances: Mapping[str, float], run: RunLine) -> list[str]:
    said: list[str] = []
    for point in run.operating_points:
        if point.output == output and point.positive in chances:
            side = "at or above" if chances[point.positive] >= point.threshold else "below"
            said.append(f"{point.positive} {side} the threshold {point.threshold:g} set by {point.set_by}")
    return said


def _results(out: Console, results: Sequence[ResultLine]) -> None:
    if not results:
        return
    rows = table("  result", "bytes", "SOP Instance UID", "series")
    for one in results:
        rows.add_row(f"  {one.form}", str(one.length), one.sop_instance_uid, one.series_instance_uid)
    out.print(rows)


def _deliveries(out: Console, deliveries: Sequence[DeliveryLine], zone: ZoneInfo) -> None:
    if not deliveries:
        return
    rows = table("  destination", "state", "acknowledged", "tries", "commitment asked", "reported", "next try", "reason")
    for one in deliveries:
        reason = explained(one.reason_code)
        why = f"{reason['code']}: {reason['sentence']} {reason['remedy']} {one.reason_detail or ''}".rstrip() if reason else ""
        rows.add_row(
            f"  {one.destination}", f"{one.state} by {one.proof}" if one.proof else one.state, str(one.acknowledged),
            str(one.attempts), moment(one.commitment_asked_at, zone),
            moment(one.commitment_reported_at, zone), moment(one.next_attempt_at, zone), why,
        )
    out.print(rows)
    for one in deliveries:
        if one.left_out:
            out.print(f"  {one.destination} does not take: {', '.join(one.left_out)}")
