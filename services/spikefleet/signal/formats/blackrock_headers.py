"""What a Blackrock header says of scale and time.

A clock counts from the header's time origin; that of specification 3.0 may count since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.formats.origins import BEGAN_AT, FILES_OF

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UV_PER_UNIT = {"uv": 1.0, "mv": 1e3, "v": 1e6}
_SINCE_1970_S = 1e9  # what no clock counts to that begins with its recording


def read_origin(basic: np.void) -> datetime | None:
    """Return when the clock stood at nought (UTC); None of a header that does not say it."""
    year, month, day = (int(basic[field]) for field in ("year", "month", "day"))
    hour, minute, second = (int(basic[field]) for field in ("hour", "minute", "second"))
    try:
        seconds = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return seconds + timedelta(milliseconds=int(basic["millisecond"]))
    except (ValueError, OverflowError):  # zeros, of files that were converted
        return None


def origin_notes(path: Path, origin: datetime | None, clock_s: float) -> dict[str, str]:
    """Return the annotations of a take whose first frame the clock stamped with ``clock_s``."""
    notes = {FILES_OF: str(path.with_suffix(""))}
    since = _EPOCH if clock_s > _SINCE_1970_S else origin
    if since is not None and 0 <= clock_s < 4 * _SINCE_1970_S:
        notes[BEGAN_AT] = (since + timedelta(seconds=clock_s)).isoformat()
    return notes


def scale_of(channels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gains and offsets to µV from the analog and digital ranges."""
    low, high = channels["min_digital_val"].astype(float), channels["max_digital_val"].astype(float)
    bottom, top = channels["min_analog_val"].astype(float), channels["max_analog_val"].astype(float)
    per_unit = np.array(
        [_UV_PER_UNIT.get(text_of(unit).lower(), 1.0) for unit in channels["units"]]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = (top - bottom) / (high - low)
    return gains * per_unit, (bottom - low * gains) * per_unit


def text_of(value: bytes) -> str:
    """Return a text field without what fills it up."""
    return value.partition(b"\x00")[0].decode("latin-1").strip()
