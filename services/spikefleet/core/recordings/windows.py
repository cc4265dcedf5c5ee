"""Which frames of a recording are kept, and where a bounded look at it should fall. Pure numbers.

Refuses windows that hold nothing, overlap or go backwards in time: the joined signal would show a
sorter spikes twice or in an order that no report could translate back.
"""

from __future__ import annotations

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError

Frames = tuple[int, int]


def keep_frames(
    config: RecordingConfig, n_samples: int, sampling_rate_hz: float
) -> tuple[Frames, ...]:
    """Return the [start, end) frames to keep, in order; one window over everything by default.

    ``first_n_mins`` caps the recording first. An end past it is clipped; a start past it is not.

    Raises:
        InvalidConfigurationError: a window is empty, lies past the end, overlaps or goes back.
    """
    last = n_samples
    if config.first_n_mins is not None:
        last = min(last, round(config.first_n_mins * 60 * sampling_rate_hz))
    wanted: list[tuple[str, int, int]] = []
    if config.start_time_s is not None or config.end_time_s is not None:
        end_s = config.end_time_s if config.end_time_s is not None else last / sampling_rate_hz
        start = round((config.start_time_s or 0.0) * sampling_rate_hz)
        wanted.append(("start_time_s", start, round(end_s * sampling_rate_hz)))
    wanted += [
        ("rec_chunks_s", round(start_s * sampling_rate_hz), round(end_s * sampling_rate_hz))
        for start_s, end_s in config.rec_chunks_s
    ]
    if not wanted:
        wanted = [("rec_chunks", start, end) for start, end in config.rec_chunks]
    if not wanted:
        wanted = [("first_n_mins", 0, last)]
    kept: list[Frames] = []
    for field, start, end in wanted:
        end = min(end, last)
        if start >= end:
            raise _refusal(
                field,
                start,
                f"the window from {start / sampling_rate_hz:g} s holds no samples; the recording "
                f"ends at {last / sampling_rate_hz:g} s",
            )
        if kept and start < kept[-1][1]:
            raise _refusal(field, start, "windows must not overlap and must follow in time")
        kept.append((start, end))
    return tuple(kept)


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


def _refusal(field: str, start: int, text: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"recording.{field}: {text}. Correct the window and submit again.",
        field=f"recording.{field}",
        value=start,
    )
