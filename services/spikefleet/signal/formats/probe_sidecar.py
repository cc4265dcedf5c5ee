"""Where the channels are when a format does not say: a ``probe.json`` beside the recording.

The file is probeinterface's own JSON; ``device_channel_indices`` count the stream's signal channels
in file order. It serves only recordings without a probe of their own, and is never guessed: without
it the recording stays without geometry. Channels no contact is wired to are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probeinterface
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.file_sets import PROBE_FILE_NAME
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, entry, read_json
from spikefleet.signal.formats.reader_errors import corrupt, reading


def find_probe_file(path: Path) -> Path | None:
    """Return the ``probe.json`` in a recording's folder, or beside its file; None without one."""
    folder = path if path.is_dir() else path.parent
    beside = folder / PROBE_FILE_NAME
    return beside if beside.is_file() else None


def place_channels(recording: BaseRecording, path: Path) -> BaseRecording:
    """Give ``recording`` its sidecar's probe; unchanged if it has a probe or no sidecar.

    Returns the recording itself, or a view of it where only some of its channels are wired.

    Annotation "unplaced_channels" counts channels left out because no contact is wired to them.

    Raises:
        InputCorruptError: ``geometry``: the sidecar cannot be read or does not fit the channels.
    """
    if recording.has_probe():
        return recording
    probe_file = find_probe_file(path)
    if probe_file is None:
        return recording
    require_probes(probe_file)
    with reading(probe_file):
        group = probeinterface.read_probeinterface(probe_file)
    wired = _wired_channels(group, probe_file)
    n_channels = recording.get_num_channels()
    if not wired or max(wired) >= n_channels or len(set(wired)) != len(wired):
        raise corrupt(
            probe_file,
            "geometry",
            f"its device_channel_indices must be different numbers from 0 to {n_channels - 1}, "
            f"one per contact (-1: not connected); it has {sorted(wired)[:8]}...",
        )
    with reading(probe_file):
        if len(wired) == n_channels:
            # Tetrodes often come each at its own origin; whoever sorts them lays them apart.
            recording.set_probegroup(group, check_overlap=False)
            return recording
        placed = recording.select_channels_with_probegroup(group)
    placed.annotate(unplaced_channels=n_channels - len(wired))
    return placed


def require_probes(probe_file: Path) -> None:
    """Check a probe file before a library reads it: JSON of a bounded size, with its probes.

    Raises:
        InputCorruptError: ``unreadable``, ``absurd``; ``geometry``: it lists no probes.
    """
    probes = entry(read_json(probe_file), "probes", probe_file)
    if not isinstance(probes, list) or not 0 < len(probes) <= MOST_CHANNELS:
        raise corrupt(probe_file, "geometry", "it lists no probes.")


def _wired_channels(group: Any, probe_file: Path) -> list[int]:
    wired: list[int] = []
    for probe in group.probes:
        if probe.device_channel_indices is None:
            raise corrupt(
                probe_file, "geometry", "its probe has no device_channel_indices; wire it first."
            )
        wired.extend(int(index) for index in probe.device_channel_indices if index >= 0)
    return wired
