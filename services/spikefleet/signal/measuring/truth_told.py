"""What a reader noted while it opened a recording, told as findings; nothing is read here.

Readers annotate what they left out, moved or believed instead of something else. Every such note
has its finding here, so that every note reaches the user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikeinterface.core import BaseRecording

from spikefleet.core.findings.finding import Finding, warn
from spikefleet.core.text import counted
from spikefleet.signal.measuring.bad_channels import LEFT_OUT

_CLOCK_TOLERANCE_PPM = 1.0


def what_readers_told(recording: BaseRecording) -> list[Finding]:
    """Return a finding for each note a recording carries."""
    return [finding for look in _NOTES if (finding := look(recording)) is not None]


def _check_frame_gaps(recording: BaseRecording) -> Finding | None:
    gaps = recording.get_annotation("frame_gaps") or []
    dropped = int(recording.get_annotation("dropped_frames") or 0)
    if not gaps and not dropped:
        return None
    where: dict[str, Any] = {"n_gaps": len(gaps), "n_missing_frames": dropped}
    text = counted(dropped, "frame", ("is missing", "are missing"))
    if gaps:
        frame, missing = (int(value) for value in gaps[0])
        at_s = frame / recording.sampling_frequency
        where |= {"frame": frame, "at_s": at_s, "missing_frames": missing}
        text += f" in {counted(len(gaps), 'place')}"
        text += f", first {missing} before {at_s:.4f} s (frame {frame})"
    return warn(
        "frame_gaps",
        f"{text}.",
        **where,
    )


def _check_take(recording: BaseRecording) -> Finding | None:
    said = recording.get_annotation("take") or {}
    if not said:
        return None
    return warn(
        "clock_set_back",
        f"The clock was set back while recording: this is take {said['number'] + 1} of "
        f"{said['of']}, it begins at {said['start_s']:.4f} s of its clock; "
        "times count from each take's start.",
        **said,
    )


def _check_unnumbered(recording: BaseRecording) -> Finding | None:
    count = int(recording.get_annotation("unnumbered_frames") or 0)
    if not count:
        return None
    return warn(
        "unnumbered_frames",
        f"At the end {counted(count, 'frame', ('has', 'have'))} no sample number "
        f"({count / recording.sampling_frequency:.3f} s); what has none is left out.",
        n_frames=count,
    )


def _check_clock(recording: BaseRecording) -> Finding | None:
    said = recording.get_annotation("clock") or {}
    nominal_hz, measured_hz = said.get("nominal_hz"), said.get("measured_hz")
    if not nominal_hz or not measured_hz:
        return None
    apart_ppm = (measured_hz / nominal_hz - 1.0) * 1e6
    if abs(apart_ppm) < _CLOCK_TOLERANCE_PPM:
        return None
    return warn(
        "clock_differs",
        f"The header says {nominal_hz:.6f} Hz, the time stamps {measured_hz:.6f} Hz "
        f"({apart_ppm:+.1f} ppm); the time stamps are believed.",
        nominal_hz=nominal_hz,
        measured_hz=measured_hz,
        ppm=apart_ppm,
    )


def _check_repeated_stamps(recording: BaseRecording) -> Finding | None:
    count = int(recording.get_annotation("repeated_stamps") or 0)
    if not count:
        return None
    return warn(
        "repeated_stamps",
        f"{count} time stamps repeat the one before: the clock stood still there.",
        n_stamps=count,
    )


def _check_laid_apart(recording: BaseRecording) -> Finding | None:
    count = int(recording.get_annotation("probes_laid_apart") or 0)
    if not count:
        return None
    return warn(
        "probes_laid_apart",
        f"{count} probes are given on the same ground; they are sorted side by side.",
        n_probes=count,
    )


def _check_closed(recording: BaseRecording) -> Finding | None:
    said = str(recording.get_annotation("not_closed") or "")
    if not said:
        return None
    why = said.rpartition(": ")[2]  # copies of earlier versions say it in a sentence
    return warn("not_closed", f"The acquisition did not close this file: {why}.")


def _check_unplaced(recording: BaseRecording) -> Finding | None:
    count = int(recording.get_annotation("unplaced_channels") or 0)
    if not count:
        return None
    return warn(
        "unplaced_channels",
        f"{count} recorded channels are left out because no contact is known for them.",
        n_channels=count,
    )


def _check_sidecar(recording: BaseRecording) -> Finding | None:
    if not recording.get_annotation("sidecar_decided"):
        return None
    return warn(
        "sidecar_decided",
        "The channels are where probe.json says, not where the acquisition system does.",
    )


def _check_left_out(recording: BaseRecording) -> Finding | None:
    left_out = recording.get_annotation(LEFT_OUT) or {}
    if not left_out:
        return None
    listed = ", ".join(f"{name} ({why})" for name, why in list(left_out.items())[:8])
    more = " and others" if len(left_out) > 8 else ""
    n_channels = len(left_out) + int(recording.get_num_channels())
    return warn(
        "channels_left_out",
        f"{len(left_out)} of {n_channels} channels are left out: {listed}{more}.",
        channels=list(left_out),
    )


_NOTES: tuple[Callable[[BaseRecording], Finding | None], ...] = (
    _check_frame_gaps,
    _check_take,
    _check_unnumbered,
    _check_clock,
    _check_repeated_stamps,
    _check_laid_apart,
    _check_closed,
    _check_unplaced,
    _check_sidecar,
    _check_left_out,
)
