"""A short stretch of what was recorded, beside what the sorter got: raw and prepared, in µV.

It is cut while the samples are at hand and travels with the sort, so that a person who reads the
report sees the spikes that the units are made of. A few hundred kilobytes, whatever the recording.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording, BaseSorting

from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.unit_data import FloatArray, IntArray

STRIP_FILE = "strip.json"
LENGTH_S = 0.1
_MOST_CHANNELS = 16
_MOST_SAMPLES = 20_000
_STEPS_PER_UV = 10  # kept as whole tenths of a microvolt
_LARGEST = 10**9
_VERSION = 1


@dataclass(frozen=True)
class Strip:
    """T samples of C channels. ``raw_uv`` and ``prepared_uv`` are (T, C), each around its median.

    ``start_sample`` counts what was sorted, ``start_s`` the recording; channels are as the probe
    has them, from the smallest y.
    """

    start_sample: int
    start_s: float
    sampling_rate_hz: float
    channel_ids: tuple[str, ...]
    raw_uv: FloatArray
    prepared_uv: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready document: values in tenths of a microvolt, one list a channel."""
        return {
            "version": _VERSION,
            "start_sample": self.start_sample,
            "start_s": self.start_s,
            "sampling_rate_hz": self.sampling_rate_hz,
            "channel_ids": list(self.channel_ids),
            "unit": "0.1 µV",
            "raw": _tenths(self.raw_uv),
            "prepared": _tenths(self.prepared_uv),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Strip:
        """Read what ``to_json`` wrote. Raises ValueError where it is anything else."""
        try:
            names = tuple(str(name) for name in document["channel_ids"])
            start_s, rate_hz = float(document["start_s"]), float(document["sampling_rate_hz"])
            start_sample = int(document["start_sample"])
            raw, prepared = (_microvolts(document[key], len(names)) for key in ("raw", "prepared"))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"no strip of a recording: {error}") from error
        if not (0 < rate_hz < math.inf and math.isfinite(start_s) and start_sample >= 0):
            raise ValueError(f"a strip at {start_s} s of {rate_hz} Hz")
        if raw.shape != prepared.shape:
            raise ValueError(f"a strip of {raw.shape} raw and {prepared.shape} prepared samples")
        return cls(start_sample, start_s, rate_hz, names, raw, prepared)


def cut_strip(
    raw: BaseRecording, prepared: BaseRecording, timeline: Timeline, sorting: BaseSorting
) -> Strip:
    """Cut 0.1 s where most spikes are, of the 16 channels around the largest signal there.

    ``raw`` is as recorded, with the configured scale; ``prepared`` what was sorted, whose channels
    are among the raw ones, and ``timeline`` maps its samples to the raw ones. Raises ValueError
    where nothing was sorted.
    """
    rate_hz = float(prepared.get_sampling_frequency())
    length = max(1, min(round(LENGTH_S * rate_hz), _MOST_SAMPLES, prepared.get_num_samples()))
    start = _busiest(sorting.to_spike_vector()["sample_index"], timeline, length)
    shown = _in_uv(prepared, start, length, None)
    chosen = _channels(prepared, shown)
    names = list(prepared.channel_ids[chosen])
    first = int(timeline.to_original([start])[0])
    return Strip(
        start,
        first / rate_hz,
        rate_hz,
        tuple(map(str, names)),
        _centred(_in_uv(raw, first, length, names)),
        _centred(shown[:, chosen]),
    )


def _busiest(samples: IntArray, timeline: Timeline, length: int) -> int:
    """First sample of the stretch with most spikes within one unbroken piece."""
    edges = [0, *timeline.seams, timeline.n_samples]
    best, most = 0, -1
    for low, high in pairwise(edges):
        last = high - length
        if last < low:
            continue
        starts = np.arange(low, last + 1, length)
        inside = np.asarray(samples)[(samples >= low) & (samples < high)]
        counts = np.bincount((inside - low) // length, minlength=len(starts))[: len(starts)]
        busiest = int(counts.argmax())
        if counts[busiest] > most:
            best, most = int(starts[busiest]), int(counts[busiest])
    if most < 0:
        raise ValueError("no stretch of it is long enough to be shown")
    return best


def _channels(recording: BaseRecording, shown_uv: FloatArray) -> IntArray:
    """The channels nearest to the one with the largest signal, by y and then x."""
    places = np.asarray(recording.get_channel_locations(), dtype=np.float64)[:, :2]
    largest = int(np.abs(_centred(shown_uv)).max(axis=0).argmax())
    apart = np.linalg.norm(places - places[largest], axis=1)
    chosen = np.argsort(apart, kind="stable")[:_MOST_CHANNELS]
    order = np.lexsort((places[chosen, 0], places[chosen, 1]))
    return np.asarray(chosen[order], dtype=np.int64)


def _in_uv(
    recording: BaseRecording, start: int, length: int, names: list[Any] | None
) -> FloatArray:
    traces = recording.get_traces(
        start_frame=start,
        end_frame=start + length,
        channel_ids=names,
        return_in_uV=recording.has_scaleable_traces(),
    )
    return np.asarray(traces, dtype=np.float64)


def _centred(traces_uv: FloatArray) -> FloatArray:
    centred: FloatArray = traces_uv - np.median(traces_uv, axis=0)
    return centred


def _tenths(traces_uv: FloatArray) -> list[list[int]]:
    known = np.nan_to_num(traces_uv, nan=0.0, posinf=0.0, neginf=0.0)
    steps = np.clip(np.rint(known * _STEPS_PER_UV), -_LARGEST, _LARGEST).astype(np.int64)
    listed: list[list[int]] = steps.T.tolist()
    return listed


def _microvolts(columns: Any, n_channels: int) -> FloatArray:
    """Read ``_tenths``. Raises ValueError for anything but as many equal lists of numbers."""
    if not isinstance(columns, list) or not 1 <= len(columns) == n_channels <= _MOST_CHANNELS:
        raise ValueError("a strip without channels, or with other ones than it names")
    if any(not isinstance(column, list) or len(column) > _MOST_SAMPLES for column in columns):
        raise ValueError("a strip that is no lists of samples, or a long one")
    if any(type(value) is not int for column in columns for value in column):
        raise ValueError("a strip of other values than whole numbers")
    if not columns[0] or len({len(column) for column in columns}) != 1:
        raise ValueError("a strip of channels of other lengths, or empty ones")
    values = np.array(columns, dtype=np.float64)
    if np.abs(values).max() > _LARGEST:
        raise ValueError("a strip beyond what can be recorded")
    scaled: FloatArray = values.T / _STEPS_PER_UV
    return scaled
