"""Channels that are left out of a sort: named by their ids, or found to be bad where looked at.

Found are those that never change, sit at a rail, or hold samples that are not numbers, at a few
places of the recording: always the same ones, so that two sorts of one recording agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.config.recording import DETECTED
from spikefleet.core.failures.errors import InvalidConfigurationError, NoGoodChannelsError
from spikefleet.core.recording.verdict import LEAST_S
from spikefleet.core.recording.windows import spread_frames
from spikefleet.signal.formats.reader_errors import reading_traces
from spikefleet.signal.measuring.channel_extremes import ChannelExtremes

LEFT_OUT = "left_out_channels"
"""Annotation of a recording: id of each channel that was left out -> why."""

_LOOKS = 3
_VALUES_PER_LOOK = 1 << 21
_MOSTLY_AT_RAIL = 0.5
_NAMED = "named"


def detect_bad_channels(recording: BaseRecording) -> dict[str, str]:
    """Return channel id -> what is wrong with it, from a few places of the recording.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    ids = [str(channel) for channel in recording.channel_ids]
    dtype = np.dtype(recording.get_dtype())
    n_samples = int(recording.get_num_samples())
    length = max(1, min(n_samples, _VALUES_PER_LOOK // max(1, len(ids))))
    seen = ChannelExtremes(len(ids), dtype)
    n_seen = 0
    broken = np.zeros(len(ids), dtype=np.bool_)
    for start, end in spread_frames(n_samples, length, _LOOKS):
        with reading_traces():
            block: NDArray[Any] = recording.get_traces(start_frame=start, end_frame=end)
        if dtype.kind == "f":
            broken |= ~np.isfinite(block).all(axis=0)
        seen.add(block)
        n_seen += end - start
    rails = seen.rail_fraction(n_seen) >= _MOSTLY_AT_RAIL
    is_told = n_samples >= LEAST_S * float(recording.sampling_frequency)
    found: dict[str, str] = {}
    for why, which in (
        ("never changes", seen.flat & is_told),
        ("at a rail", rails & is_told),
        ("not a number", broken),
    ):
        found |= {ids[index]: why for index in np.flatnonzero(which)}
    return found


def choose_left_out(recording: BaseRecording, wanted: Sequence[str]) -> dict[str, str]:
    """Return id -> why of the channels that ``recording.bad_channels`` means.

    Raises:
        InvalidConfigurationError: a name is not a channel's; the message names the nearest.
        NoGoodChannelsError: none would be left.
        InputCorruptError: the traces cannot be read.
    """
    if not wanted:
        return {}
    ids = [str(channel) for channel in recording.channel_ids]
    unknown = [name for name in wanted if name not in ids and name != DETECTED]
    if unknown:
        near = get_close_matches(unknown[0], ids, 3, cutoff=0.4) or ids[:3]
        raise InvalidConfigurationError(
            f"recording.bad_channels: there is no channel {unknown[0]!r} among {len(ids)}; near it "
            f"are {', '.join(near)}.",
            field="recording.bad_channels",
            value=unknown[0],
        )
    found = detect_bad_channels(recording) if DETECTED in wanted else {}
    found |= {name: _NAMED for name in wanted if name in ids and name not in found}
    if len(found) == len(ids):
        raise NoGoodChannelsError(
            f"All {len(ids)} channels are left out by recording.bad_channels; none is there to "
            "sort.",
            reason="all_left_out",
            total_channels=len(ids),
            bad_channels=len(found),
        )
    return {name: found[name] for name in ids if name in found}


def leave_out(recording: BaseRecording, left_out: Mapping[str, str]) -> BaseRecording:
    """Return a view without these channels, annotated with them; the recording stays as it was."""
    if not left_out:
        return recording
    kept = [channel for channel in recording.channel_ids if str(channel) not in left_out]
    view = recording.select_channels(kept)
    view.annotate(**{LEFT_OUT: dict(left_out)})
    return view
