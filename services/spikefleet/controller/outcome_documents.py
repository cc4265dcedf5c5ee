"""From the outcome.json that an attempt left to an ``AttemptOutcome`` that can be worked with.

A document may be anybody's bytes. What decides (whose it is, its exit code, its failure) must be of
its kind, or the whole is no evidence; what only tells is brought within bounds, or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.ids import AttemptId
from spikefleet.infra import foreign_documents


def read_outcome(
    document: Mapping[str, object] | None, attempt_id: AttemptId
) -> AttemptOutcome | None:
    """Return the outcome; None for a damaged one, and for another attempt's."""
    bounded = foreign_documents.bounded_table(document)
    if not bounded:
        return None
    try:
        outcome = AttemptOutcome.from_json(bounded)
        if outcome.attempt_id != attempt_id or not _decides(outcome):
            return None
        return _within_bounds(outcome)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _decides(outcome: AttemptOutcome) -> bool:
    """Whether the code is one, and every table a table."""
    tables = (
        outcome.artifacts,
        outcome.peaks,
        outcome.thresholds,
        outcome.timings_s,
        outcome.versions,
        outcome.node,
        outcome.canary,
        outcome.blind_guards,
    )
    return foreign_documents.exit_code(outcome.exit_code) is not None and all(
        isinstance(table, Mapping) for table in tables
    )


def _within_bounds(outcome: AttemptOutcome) -> AttemptOutcome:
    number, count = foreign_documents.number, foreign_documents.count
    return replace(
        outcome,
        n_units=count(outcome.n_units),
        n_spikes=count(outcome.n_spikes),
        duration_s=number(outcome.duration_s),
        wall_s=number(outcome.wall_s) or 0.0,
        artifacts=_texts(outcome.artifacts),
        peaks=_numbers(outcome.peaks),
        thresholds=_numbers(outcome.thresholds),
        timings_s=_numbers(outcome.timings_s),
        versions=_texts(outcome.versions),
        node=_node(outcome.node),
        canary=_canary(outcome.canary),
        blind_guards=_texts(outcome.blind_guards),
    )


def _texts(table: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in table.items() if isinstance(value, str)}


def _numbers(table: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a table as they are, whole ones whole."""
    number = foreign_documents.number
    return {name: v for name, v in table.items() if number(v, least=-1e18, most=1e18) is not None}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    """What the machine's checks found: findings are tables with a code and a level."""
    said = node.get("findings")
    findings = [
        each
        for each in (said if isinstance(said, list) else [])
        if isinstance(each, Mapping)
        and isinstance(each.get("code"), str)
        and isinstance(each.get("level"), str)
    ]
    return {**node, **({"findings": findings} if "findings" in node else {})}


def _canary(canary: Mapping[str, Any]) -> dict[str, Any]:
    """How the trial went: its state is a word, its changes are those that a retry can make."""
    kept = {name: value for name, value in canary.items() if name not in ("state", "changes")}
    state, changes = canary.get("state"), canary.get("changes")
    told = {"state": state} if isinstance(state, str) else {}
    if not isinstance(changes, Mapping):
        return {**kept, **told}
    asked = changes.get("sorter_params")
    made = {"sorter_params": asked} if isinstance(asked, Mapping) else {}
    others = {k: v for k, v in changes.items() if k != "sorter_params" and type(v) is int}
    return {**kept, **told, "changes": {**others, **made}}
