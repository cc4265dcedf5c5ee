"""Which frames of a recording are kept, and where a bounded look at it should fall. Pure numbers.

Refuses windows that hold nothing, overlap or go backwards in time: the joined signal would show a
sorter spikes twice or in an order that no report could translate back.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError

Frames = tuple[int, int]


@dataclass(frozen=True)
class _Window:
    """A window as it was asked for: the field that asked, and frames not clipped yet."""

    field: str
    start: int
    end: int


def keep_frames(
    config: RecordingConfig, n_samples: int, sampling_rate_hz: float
) -> tuple[Frames, ...]:
    """Return the [start, end) frames to keep, in order; one window over everything by default.

    ``first_n_mins`` caps the recording first; then comes the window of ``start_time_s`` and
    ``end_time_s``, then those of ``rec_chunks_s``; ``rec_chunks`` only where none is in seconds.
    Seconds become frames by rounding. An end past the recording is clipped, a start is not.

    Raises:
        InvalidConfigurationError: a window is empty, is past the end, overlaps or goes back;
            ``field`` names the one that asked for it.
    """
    last, last_field = n_samples, ""
    if config.first_n_mins is not None:
        capped = round(config.first_n_mins * 60 * sampling_rate_hz)
        if capped < n_samples:
            last, last_field = capped, " (first_n_mins)"
    kept: list[Frames] = []
    for window in _windows(config, last, sampling_rate_hz):
        start, end = window.start, min(window.end, last)
        said = f"the window from {start / sampling_rate_hz:g} s"
        if start >= last:
            ends_s = last / sampling_rate_hz
            raise _refusal(
                window, f"{said} holds no samples; the recording ends at {ends_s:g} s{last_field}"
            )
        if start >= end:
            raise _refusal(window, f"{said} is shorter than one sample")
        if kept and start < kept[-1][1]:
            before_s, until_s = (frame / sampling_rate_hz for frame in kept[-1])
            fault = "overlaps" if end > kept[-1][0] else "comes before"
            raise _refusal(window, f"{said} {fault} the one from {before_s:g} to {until_s:g} s")
        kept.append((start, end))
    return tuple(kept)


def _windows(config: RecordingConfig, last: int, sampling_rate_hz: float) -> list[_Window]:
    """List the windows asked for, in order of precedence; everything where none was."""
    wanted: list[_Window] = []
    if config.start_time_s is not None or config.end_time_s is not None:
        start = round((config.start_time_s or 0.0) * sampling_rate_hz)
        end_s = config.end_time_s
        end = max(last, start) if end_s is None else round(end_s * sampling_rate_hz)
        field = "end_time_s" if config.start_time_s is None else "start_time_s"
        wanted.append(_Window(field, start, end))
    wanted += [
        _Window("rec_chunks_s", round(first_s * sampling_rate_hz), round(last_s * sampling_rate_hz))
        for first_s, last_s in config.rec_chunks_s
    ]
    if not wanted:
        wanted = [_Window("rec_chunks", start, end) for start, end in config.rec_chunks]
    return wanted or [_Window("first_n_mins", 0, last)]


def spread_frames(n_samples: int, window: int, n_windows: int) -> tuple[Frames, ...]:
    """Return at most ``n_windows`` windows spread evenly from the first frame to the last.

    Covers everything, without gaps, when the windows together would.
    """
    window = max(1, min(window, n_samples))
    if window * n_windows >= n_samples:
        starts = list(range(0, n_samples, window))
        return tuple((start, min(start + window, n_samples)) for start in starts)
    if n_windows == 1:
        return ((0, window),)
    step = (n_samples - window) / (n_windows - 1)
    return tuple((round(index * step), round(index * step) + window) for index in range(n_windows))


def _refusal(window: _Window, text: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"recording.{window.field}: {text}. Correct the window and submit again.",
        field=f"recording.{window.field}",
        value=window.start,
    )
