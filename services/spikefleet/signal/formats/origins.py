"""Annotations that say where a recording comes from, and when two cannot follow each other.

Readers annotate what their format tells. Two recordings of different probes, or of one moment, are
never one recording: joined, their spikes would be two neurons' or counted twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from spikeinterface.core import BaseRecording

PROBE_SERIAL = "probe_serial"
"""The probe's serial number."""
RUN_GATE = "run_gate"
"""Run and gate of SpikeGLX ("mouse_g0")."""
CATGT_OF = "catgt_of"
"""Run and gate whose samples CatGT filtered or joined into this recording."""
RECORD_NODE = "record_node"
"""Folder of the Open Ephys Record Node that wrote the recording."""

BEGAN_AT = "began_at"
"""When the first frame was taken, by the system's own clock: ISO 8601, UTC."""
FILES_OF = "files_of"
"""Path, without its ending, of the files that one system wrote of one recording."""
_SAME_TIME = 0.5  # of the shorter one: clocks of systems differ, and files may meet


def clash(first: BaseRecording, other: BaseRecording) -> str:
    """Say why ``other`` cannot follow ``first``; "" where nothing known speaks against it."""
    serials = [one.get_annotation(PROBE_SERIAL) for one in (first, other)]
    if all(serials) and serials[0] != serials[1]:
        return f"it is of another probe (serial number {serials[1]}, not {serials[0]})"
    for raw, made in ((first, other), (other, first)):
        run = raw.get_annotation(RUN_GATE)
        if run and run == made.get_annotation(CATGT_OF):
            return f"one is CatGT's copy of the other ({run}); take either"
    nodes = [Path(one.get_annotation(RECORD_NODE) or "") for one in (first, other)]
    if nodes[0] != nodes[1] and nodes[0].name and nodes[0].parent == nodes[1].parent:
        return f"{nodes[1].name} recorded at the same time as {nodes[0].name}"
    files = [Path(one.get_annotation(FILES_OF) or "") for one in (first, other)]
    if files[0] != files[1] and _overlap(first, other):
        return (
            f"{files[1].name} was recorded at the same time as {files[0].name}, by another system; "
            "sort the two as two recordings"
        )
    return ""


def _overlap(first: BaseRecording, other: BaseRecording) -> bool:
    """Whether two were recorded at one time, for the most part, by what their headers say."""
    begun = [one.get_annotation(BEGAN_AT) for one in (first, other)]
    if not all(begun):
        return False
    starts = [datetime.fromisoformat(said) for said in begun]
    lasts = [timedelta(seconds=float(one.get_total_duration())) for one in (first, other)]
    together = min(start + last for start, last in zip(starts, lasts, strict=True)) - max(starts)
    return together > _SAME_TIME * min(lasts)
