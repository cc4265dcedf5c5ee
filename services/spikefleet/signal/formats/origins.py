"""Annotations that say where a recording comes from, and when two cannot follow each other.

Readers annotate what their format tells. Two recordings of different probes, or of one moment, are
never one recording: joined, their spikes would be two neurons' or counted twice.
"""

from __future__ import annotations

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
    return ""
