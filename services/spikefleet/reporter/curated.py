"""What curation left, as the record has it: rows of units and steps, each value of its own kind.

curation.json comes from a sort that may be older, damaged or a stranger's. Here it becomes texts,
numbers, flags and nothing else, so that page, Markdown and figures never meet another kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spikefleet.core.text import counted
from spikefleet.core.visible_text import visible_line
from spikefleet.reporter.sections import CurationSection, CurationStep, SuggestedMerge

_TEXTS = frozenset({"unit_id", "channel_id", "similar_unit", "label", "label_why"})
_COUNTS = frozenset({"spike_count", "isi_violation_count", "channel_index"})
_FLAGS = frozenset({"has_positive_peak", "possible_duplicate"})
_MOST_SUGGESTIONS = 1000
_REPLACED = ("merged into", "split into")  # as ``signal.units.unit_edits`` says it
_PERIOD_MS, _LONGEST_PERIOD_MS = 1.5, 20.0
_LARGEST = 1e12  # no metric of a unit is larger, and sums of squares stay numbers


def curated_units(curation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each sorted unit: its metrics, whether it passed, what rejected it.

    A metric is a finite number or None; counts are whole and not negative, flags are bool.
    """
    rejected = {
        _text(unit): _text(name)
        for name, units in _mapping(curation.get("failed")).items()
        for unit in _list(units)
    }
    rows = []
    for unit in _list(curation.get("units")):
        row = {_text(name): _value(name, value) for name, value in _mapping(unit).items()}
        unit_id = row["unit_id"] = _text(_mapping(unit).get("unit_id"))
        failed_on = rejected.get(unit_id, "")
        rows.append({**row, "passed": unit_id not in rejected, "failed_on": failed_on})
    return rows


def curation_section(curation: Mapping[str, Any]) -> CurationSection:
    """Return thresholds and how many units each of them left; {} without a curation."""
    if not curation:
        return {}
    failed, left = _mapping(curation.get("failed")), _mapping(curation.get("curated"))
    steps = []
    for criterion in map(_mapping, _list(curation.get("criteria"))):
        name, bound = _text(criterion.get("name")), _number(criterion.get("bound"))
        if bound is None:  # a threshold without a number has nothing to show
            continue
        step: CurationStep = {
            "name": name,
            "stage": _text(criterion.get("stage")),
            "metric": _text(criterion.get("metric")),
            "bound": bound,
            "at_least": criterion.get("at_least") is True,
            "n_failed": len(_list(failed.get(name))),
            "n_left": len(_list(left.get(name))),
        }
        steps.append(step)
    return {
        "parameters": _mapping(curation.get("curation_parameters")),
        "n_sorted": len(_list(curation.get("initial"))),
        "n_curated": len(_list(curation.get("curated_final"))),
        "steps": steps,
        "suggestions": [
            _suggestion(entry)
            for entry in map(_mapping, _list(curation.get("merge_suggestions"))[:_MOST_SUGGESTIONS])
            if _list(entry.get("unit_ids"))
        ],
        "by_hand": _text(_mapping(curation.get("by_hand")).get("tool")),
        "n_merges": len(_list(_mapping(curation.get("edits")).get("merges"))),
        "n_splits": len(_list(_mapping(curation.get("edits")).get("splits"))),
    }


def is_replaced(unit: Mapping[str, Any]) -> bool:
    """True of a unit whose spikes stand in another one, by a merge or a split."""
    return str(unit.get("failed_on") or "").startswith(_REPLACED)


def tell_edits(curation: CurationSection) -> str:
    """Say which curation this is, who curated and what was joined or split; "" for the run's own.

    The run's own is made by thresholds alone; where it joined units, that is told too.
    """
    edits = [
        counted(number, word)
        for number, word in (
            (curation.get("n_merges", 0), "merge"),
            (curation.get("n_splits", 0), "split"),
        )
        if number
    ]
    tool = curation.get("by_hand")
    name = curation.get("name")
    if not (tool or edits or name):
        return ""
    who = f"Curated by hand in {tool}" if tool else "Curated by thresholds"
    what = f"{who}{', with ' if edits else ''}{' and '.join(edits)}."
    return f"The curation {name}, beside the run's own. {what}" if name else what


def _suggestion(entry: Mapping[str, Any]) -> SuggestedMerge:
    return {
        "units": [_text(unit) for unit in _list(entry.get("unit_ids"))],
        "method": _text(entry.get("method")),
        "similarity": _number(entry.get("similarity")),
        "violations_before": _number(entry.get("violations_before")),
        "violations_after": _number(entry.get("violations_after")),
    }


def refractory_ms(curation: CurationSection) -> float:
    """Return the refractory period that the units were judged by; of an older curation 1.5 ms."""
    period = _number(curation.get("parameters", {}).get("refractory_period_ms"))
    return period if period is not None and 0 < period <= _LONGEST_PERIOD_MS else _PERIOD_MS


def _value(name: str, value: Any) -> str | float | bool | None:
    if name in _TEXTS:
        return _text(value)
    if name in _FLAGS:
        return value is True
    number = _number(value)
    if name in _COUNTS:
        return None if number is None or number < 0 else int(number)
    return number


def _number(value: Any) -> float | None:
    """Return a number as it is, whole ones whole; None for anything else and what has no size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if abs(value) <= _LARGEST else None


def _text(value: Any) -> str:
    """Return a text that can be written to any file; numbers as texts, "" for other kinds."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return visible_line(str(value))


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
