"""What the report says of time: which part was sorted, of which recordings, on which clock.

Everything a report shows is on the original timeline; samples of what the sorter saw are named so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.reporter.sections import TimesSection
from spikefleet.signal.preparing.timeline import Timeline

_STEPS = (
    "parent.start",
    "parent.node_preflight",
    "parent.stage_in",
    "parent.canary",
    "load",
    "sort",
    "analyze",
)


def steps_in_order(timings_s: Any) -> dict[str, float]:
    """Seconds per step in the order they run; neither the wire nor JSON files keep order."""
    order = {name: index for index, name in enumerate(_STEPS)}
    told = dict(timings_s) if isinstance(timings_s, Mapping) else {}
    return dict(sorted(told.items(), key=lambda item: (order.get(item[0], 99), item[0])))


def describe_times(timeline: Timeline | None) -> TimesSection:
    """Return the record's ``timeline`` section; empty where the sort left no map.

    ``windows_s`` are the stretches that were sorted; times count from the first file's start.
    """
    if timeline is None:
        return {}
    rate_hz = timeline.sampling_rate_hz
    sorted_frames = [0] * len(timeline.files)
    for index, (start, end) in timeline.pieces():
        sorted_frames[index] += end - start
    return {
        "recorded_s": timeline.n_original / rate_hz,
        "sorted_s": timeline.n_samples / rate_hz,
        "is_whole": timeline.n_samples == timeline.n_original,
        "windows_s": [[start / rate_hz, end / rate_hz] for start, end in timeline.kept],
        "files": [
            {
                "name": file.name,
                "start_s": start / rate_hz,
                "duration_s": file.n_samples / rate_hz,
                "sorted_s": kept / rate_hz,
            }
            for file, (start, _), kept in zip(
                timeline.files, timeline.file_bounds, sorted_frames, strict=True
            )
        ],
    }


def tell_times(times: TimesSection) -> list[str]:
    """Return sentences on what was sorted and which clock counts; [] when nothing needs saying."""
    files = times.get("files") or []
    if not times or (times["is_whole"] and len(files) < 2):
        return []
    said = []
    if not times["is_whole"]:
        windows = ", ".join(f"{_s(start)} to {_s(end)} s" for start, end in times["windows_s"])
        said.append(
            f"Sorted was {windows}: {_s(times['sorted_s'])} s of {_s(times['recorded_s'])} s. "
            "Rates are over what was sorted."
        )
    if len(files) > 1:
        said.append(
            f"{len(files)} recordings were sorted as one, in the order below; the part of the "
            "result that belongs to each is in curate/exports/<recording>, in its own time."
        )
    said.append(
        "All times count from the start of the "
        + ("first recording" if len(files) > 1 else "recording")
        + " as it was made; timeline.json maps them to samples of what the sorter saw."
    )
    return said


def _s(seconds: float) -> str:
    """Seconds to the millisecond, without trailing zeros."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
