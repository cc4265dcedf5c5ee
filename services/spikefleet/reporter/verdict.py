"""The verdict of a run in one sentence, with the next step: what a person reads first.

Decides words and tone only. Whether a run succeeded was decided by the controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.failures.codes import FAILURES
from spikefleet.core.findings.next_step import next_step_of, part_advice
from spikefleet.reporter.sections import CurationSection, VerdictSection

TONE_GOOD, TONE_WARN, TONE_BAD, TONE_NEUTRAL = "good", "warn", "bad", "neutral"

_LABELS: Mapping[str, tuple[str, str]] = {
    "success": ("Success", TONE_GOOD),
    "succeeded": ("Success", TONE_GOOD),
    "unsortable": ("Unsortable", TONE_WARN),
    "input_error": ("Input error", TONE_BAD),
    "environment": ("Held by the facility", TONE_BAD),
    "cancelled": ("Cancelled", TONE_NEUTRAL),
    "sorter_timeout": ("Timed out", TONE_BAD),
    "oom_host_ram": ("Out of memory", TONE_BAD),
    "oom_memoryerror": ("Out of memory", TONE_BAD),
    "oom_gpu": ("Out of GPU memory", TONE_BAD),
    "gpu_thermal": ("GPU too hot", TONE_BAD),
    "disk_exhausted": ("Disk full", TONE_BAD),
    "io_stall": ("Storage stalled", TONE_BAD),
    "concurrent_sort": ("Sorted elsewhere", TONE_NEUTRAL),
    "failed": ("Failed", TONE_BAD),
    "skipped": ("Skipped", TONE_WARN),
}
_LOOSEN: Mapping[str, str] = {
    "spikes_min_first": "fewer spikes",
    "fr_min": "a lower rate",
    "isi_viol_max": "more refractory violations",
    "snr_min": "a lower SNR",
    "spikes_min_second": "fewer spikes",
    "std_norm_max": "a larger spread",
}
_SUCCEEDED = ("success", "succeeded")
_ROWS = {str(row.code): row for row in FAILURES}


def make_verdict(
    status: str, failure: Mapping[str, Any], curation: CurationSection
) -> VerdictSection:
    """Return what a person reads first of a run with this status; {}: no failure, no curation."""
    if failure and status not in _SUCCEEDED:
        label, tone = _LABELS.get(status, ("Failed", TONE_BAD))
        sentence = str(failure.get("message") or _meaning(failure) or "The run failed.")
        return _verdict(label, tone, *part_advice(sentence, _next_step(failure)))
    # A report is made before its run ends: units without a failure are a success.
    if curation or status in _SUCCEEDED:
        return _success(curation)
    label, tone = _LABELS.get(status, (status.replace("_", " ").capitalize(), TONE_NEUTRAL))
    return _verdict(label or "Unknown", tone, "The run left no units and no failure.", "")


def _success(curation: CurationSection) -> VerdictSection:
    n_sorted, n_curated = curation.get("n_sorted", 0), curation.get("n_curated", 0)
    if not curation:
        return _verdict("Success", TONE_GOOD, "The run succeeded.", "")
    if n_curated:
        sentence = f"{n_curated} of {n_sorted} {_units(n_sorted)} passed curation."
        return _verdict("Success", TONE_GOOD, sentence, "")
    steps = curation.get("steps") or []
    worst = max(steps, key=lambda step: step["n_failed"], default=None)
    name, n_failed = (worst["name"], worst["n_failed"]) if worst else ("a threshold", 0)
    return _verdict(
        "Success, no unit kept",
        TONE_WARN,
        f"None of {n_sorted} {_units(n_sorted)} passed curation; {name} rejected {n_failed}.",
        "Look at the rejected units below; if they look real, submit again allowing "
        f"{_LOOSEN.get(name, 'a looser threshold')} ({name}). The sort is reused.",
    )


def _units(count: int) -> str:
    return "unit" if count == 1 else "units"


def _verdict(label: str, tone: str, sentence: str, next_step: str) -> VerdictSection:
    return {"label": label, "tone": tone, "sentence": sentence, "next_step": next_step}


def _next_step(failure: Mapping[str, Any]) -> str:
    """What the record says to do, unless that is the general advice and a check knows better."""
    code, told = str(failure.get("code")), str(failure.get("next_step") or "")
    if told not in ("", next_step_of(code)):
        return told
    return next_step_of(code, str(failure.get("rule_id") or ""))


def _meaning(failure: Mapping[str, Any]) -> str:
    row = _ROWS.get(str(failure.get("code")))
    return row.meaning if row else ""
