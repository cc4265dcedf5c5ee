"""What the counts in a Kilosort 2 log add to its error.

The same launch error ends a silent recording and an active one, and where every channel was found
bad it ends without any error that says so. Told apart by rates, never by
absolute counts: Kilosort calls a channel good from 0.1 crossings per second on, so that per channel
is the line. Its progress line is believed from the 101st batch on; the first one is small even for
rich data. Understood lines: threshold crossings, bad channels, channel count, progress.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence import JsonValue
from spikefleet.core.failures.rules.base import Evidence

LEAST_CROSSINGS_HZ = 0.1
_FIRST_TELLING_BATCH = 101
_FEW_UNITS = 5
_FEW_SPIKES = 5.0
_EMPTY_BATCHES = 10
_ABOUT_SILENCE = frozenset({"kilosort2.invalid_launch", "kilosort2.no_templates"})
# Ends that name no cause of their own: that every channel was found bad is cause enough for them.
_SAY_NO_CAUSE = frozenset({FailureCode.UNCLASSIFIED, FailureCode.SORTER_CRASH})

_CROSSINGS = re.compile(r"found (\d{1,18}) threshold crossings in (\d{1,9}(?:\.\d+)?) seconds")
_BAD = re.compile(r"found (\d{1,9}) bad channels")
_CHANNELS = re.compile(r"Recording has (\d{1,9}) channels")
_PROGRESS = re.compile(
    r"(\d{1,9}) ?/ ?\d{1,9} batches, (\d{1,9}) units, nspks: (\d{1,12}(?:\.\d+)?)"
)


@dataclass(frozen=True)
class Counts:
    """What a log says. None where it says nothing; ``empty_batches`` counts batches of 0 spikes."""

    crossings: int | None = None
    seconds: float | None = None
    bad_channels: int | None = None
    channels: int | None = None
    batch: int | None = None
    units: int | None = None
    spikes: float | None = None
    empty_batches: int = 0


def read_counts(log: str) -> Counts:
    """Return the last count of each kind in a log."""
    crossings, bad = _last(_CROSSINGS, log), _last(_BAD, log)
    channels, progress = _last(_CHANNELS, log), _last(_PROGRESS, log)
    return Counts(
        crossings=int(crossings[1]) if crossings else None,
        seconds=float(crossings[2]) if crossings else None,
        bad_channels=int(bad[1]) if bad else None,
        channels=int(channels[1]) if channels else None,
        batch=int(progress[1]) if progress else None,
        units=int(progress[2]) if progress else None,
        spikes=float(progress[3]) if progress else None,
        empty_batches=log.count("only had 0 spikes"),
    )


def _last(pattern: re.Pattern[str], log: str) -> re.Match[str] | None:
    return next(iter(deque(pattern.finditer(log), maxlen=1)), None)


def weigh(failure: Failure, evidence: Evidence, measured: Mapping[str, Any]) -> Failure:
    """Return the failure as the log's counts tell it; unchanged when they add nothing."""
    sorter = evidence.backend or failure.evidence.get("sorter")
    about_silence = failure.rule_id in _ABOUT_SILENCE
    if not about_silence and (sorter != "kilosort2" or failure.code not in _SAY_NO_CAUSE):
        return failure
    text = f"{evidence.log_head}\n{evidence.log_scan}\n{evidence.log_tail}"
    counts = read_counts(text)
    known = measured.get("n_channels")
    channels = known if type(known) is int and known > 0 else counts.channels
    found: dict[str, JsonValue] = {
        "threshold_crossings": counts.crossings,
        "counted_s": counts.seconds,
        "progress_batch": counts.batch,
        "units_at_failure": counts.units,
        "nspks_at_failure": counts.spikes,
        "bad_channels": counts.bad_channels,
        "total_channels": channels,
    }
    told = {**failure.evidence, **{k: v for k, v in found.items() if v is not None}}
    if channels and counts.bad_channels is not None and counts.bad_channels >= channels:
        counted = replace(failure, evidence=told)
        message = f"All {channels} channels were found bad."
        rule_id = "kilosort2.all_channels_bad"
        return counted.becomes(FailureCode.NO_GOOD_CHANNELS, rule_id, message)
    if not about_silence:
        return replace(failure, evidence=told)
    silent = _is_silent(counts, channels)
    if failure.rule_id == "kilosort2.invalid_launch" and silent:
        counted = replace(failure, evidence=told)
        message = f"Too few spikes for the sorter to build templates from: {silent}."
        rule_id = "kilosort2.too_few_spikes"
        return counted.becomes(FailureCode.INSUFFICIENT_ACTIVITY, rule_id, message)
    return replace(failure, evidence=told)


def _is_silent(counts: Counts, channels: int | None) -> str:
    """Say what proves silence; "" when nothing does."""
    if counts.crossings is not None and counts.seconds and channels:
        rate_hz = counts.crossings / counts.seconds / channels
        if rate_hz >= LEAST_CROSSINGS_HZ:
            return ""
        return f"{rate_hz:.3f} threshold crossings per channel and second"
    if counts.empty_batches >= _EMPTY_BATCHES:
        return f"{counts.empty_batches} batches without a spike"
    if counts.batch is not None and counts.batch >= _FIRST_TELLING_BATCH:
        if counts.units is not None and counts.units <= _FEW_UNITS:
            return f"{counts.units} units at batch {counts.batch}"
        if counts.spikes is not None and counts.spikes <= _FEW_SPIKES:
            return f"{counts.spikes:g} spikes at batch {counts.batch}"
    return ""
