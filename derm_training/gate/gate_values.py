"""What a bundle's quality gate does as values that JSON can hold: docs/report/gate.json, and the answer of `bundles quality --json`."""

from typing import Any

from derm_training.gate.quality_measured import GateMeasured, Passed
from derm_training.measuring.statement import RESEARCH_USE

Plain = dict[str, Any]


def gate_values(description: Plain, measured: GateMeasured) -> Plain:
    """Return the counts with the weights and the limits by which they hold; `description` is that of configs/serving.json.

    `good`, `not_skin` and `degraded` are lists: first all pictures of the group, then each kind by itself.
    """
    groups = {"good": measured.good, "not_skin": measured.not_skin, "degraded": measured.degraded}
    return {
        "schema": 1,
        "research_use": RESEARCH_USE,
        "bundle": description["name"],
        "version": description["version"],
        "weights_sha256": description["weights"]["sha256"],
        "colour": description["input"]["colour"],
        "min_short_side": description["input"]["min_short_side"],
        "quality": description["quality"],
        "table": measured.table,
        "synthetic": measured.synthetic,
        "count": measured.count,
        "seed": measured.seed,
    } | {name: [_passed(one) for one in group] for name, group in groups.items()}


def _passed(one: Passed) -> Plain:
    return {
        "kind": one.kind,
        "n": one.n,
        "let_through": one.passed,
        "share": round(one.share, 6),
        "low": round(one.low, 6),
        "high": round(one.high, 6),
        "refused_because": one.reasons,
    }
