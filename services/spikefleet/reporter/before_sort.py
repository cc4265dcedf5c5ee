"""What was looked at before the sort, in one place: both machines' findings, and the trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikefleet.core.text import counted, format_duration

_CHOSEN = {"activity": "where the recording is active", "middle": "in its middle"}


def join_findings(
    of_service: Sequence[Mapping[str, Any]], node: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the service's findings, then what only the machine that sorted noticed."""
    told = {finding.get("code") for finding in of_service}
    of_node = [f for f in node.get("findings") or () if f.get("code") not in told]
    return [dict(finding) for finding in (*of_service, *of_node)]


def tell_blind_guards(blind_guards: Mapping[str, str]) -> list[str]:
    """Return a sentence for every guard that could not watch the sort all the time."""
    return [
        f"The guard {str(name).replace('_', ' ')} could not judge all the time: {reason}."
        for name, reason in sorted(blind_guards.items())
    ]


def tell_canary(canary: Mapping[str, Any]) -> str:
    """Return one sentence on the trial before the sort; "" when none was asked for."""
    state, reason = str(canary.get("state") or ""), str(canary.get("reason") or "").rstrip(".")
    if not state:
        return ""
    if state in ("skipped", "remembered"):
        return f"No trial was made: {reason}."
    start_s, end_s = canary.get("window_s") or (0.0, 0.0)
    where = _CHOSEN.get(str(canary.get("chosen_by")), "")
    trial = f"A trial on {start_s:g} s to {end_s:g} s, {where}," if where else "A trial"
    took = format_duration(canary.get("wall_s"))
    if state == "passed":
        return f"{trial} passed in {took} with {counted(canary.get('n_units', 0), 'unit')}."
    if state == "inconclusive":
        told = (
            f"{trial} ended with {canary.get('code')}, which proves nothing of the whole: {reason}."
        )
        changed = (canary.get("changes") or {}).get("sorter_params") or {}
        if not changed:
            return told
        given = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{told} So the sort began one step down, with {given}."
    if state == "blocked":
        return f"{trial} found the environment broken, and the sort was not started: {reason}."
    return f"{trial} was interrupted."
