"""Writers of small Open Ephys recordings, byte for byte as the GUI lays them out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from probeinterface.neuropixels_tools import build_neuropixels_probe

RECORD_FRAMES = 1024
_MARKER = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 255])


def write_stream(folder, samples, numbers=None):
    """Write ``continuous.dat`` with its sample numbers and time stamps; samples x channels."""
    folder.mkdir(parents=True)
    np.asarray(samples, dtype="<i2").tofile(folder / "continuous.dat")
    numbers = np.arange(len(samples)) + 5000 if numbers is None else np.asarray(numbers)
    np.save(folder / "sample_numbers.npy", numbers.astype(np.int64))
    np.save(folder / "timestamps.npy", numbers / 30_000.0)


def describe_stream(name, channels, rate_hz=30_000.0):
    """Return one entry of ``structure.oebin``; channels are (name, bit_volts, units)."""
    return {
        "folder_name": f"{name}/",
        "sample_rate": rate_hz,
        "source_processor_name": name.partition("-")[0],
        "stream_name": name,
        "num_channels": len(channels),
        "channels": [
            {"channel_name": label, "bit_volts": bit_volts, "units": units}
            for label, bit_volts, units in channels
        ],
    }


def write_recording(root: Path, samples, channels, numbers=None, place="experiment1/recording1"):
    """Write one Record Node with one stream, "Acquisition_Board-100.Stream"; return the node."""
    node = root / "Record Node 101"
    recording = node / place
    name = "Acquisition_Board-100.Stream"
    write_stream(recording / "continuous" / name, samples, numbers)
    structure = {
        "GUI version": "0.6.7",
        "continuous": [describe_stream(name, channels)],
        "events": [],
        "spikes": [],
    }
    (recording / "structure.oebin").write_text(json.dumps(structure, indent=2))
    (node / "settings.xml").write_text('<?xml version="1.0"?>\n<SETTINGS></SETTINGS>\n')
    return node


def write_continuous(folder: Path, name, samples, first_numbers=None, bit_volts=0.195):
    """Write one ``.continuous`` file of the older layout; samples in whole records of 1024."""
    header = (
        "header.format = 'Open Ephys Data Format'; \nheader.version = 0.4; \n"
        "header.header_bytes = 1024;\nheader.description = 'each record contains one 64-bit "
        "timestamp, one 16-bit sample count (N), 1 uint16 recordingNumber, N 16-bit samples, "
        "and one 10-byte record marker (0 1 2 3 4 5 6 7 8 255)'; \n"
        "header.date_created = '20-Nov-2026 120000';\n"
        f"header.channel = '{name}';\nheader.channelType = 'Continuous';\n"
        f"header.sampleRate = 30000;\nheader.blockLength = 1024;\nheader.bufferSize = 1024;\n"
        f"header.bitVolts = {bit_volts};\n"
    )
    records = np.asarray(samples, dtype=">i2").reshape(-1, RECORD_FRAMES)
    if first_numbers is None:
        first_numbers = 2048 + RECORD_FRAMES * np.arange(len(records))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"100_{name}.continuous").open("wb") as file:
        file.write(header.encode().ljust(1024, b" "))
        for number, record in zip(first_numbers, records, strict=True):
            file.write(np.int64(number).tobytes())
            file.write(np.array([RECORD_FRAMES, 0], dtype="<u2").tobytes())
            file.write(record.tobytes())
            file.write(_MARKER)


def write_neuropixels(
    root,
    saved,
    *,
    node_id=101,
    named_electrodes=True,
    part_number="NP1000",
    **settings,
):
    """Write a Record Node of a Neuropixels probe that saved channels ``saved``; return the node.

    Channel n was read from electrode n. ``settings`` are those of ``write_probe_settings``.
    """
    node = root / f"Record Node {node_id}"
    recording = node / "experiment1/recording1"
    stream = "Neuropix-PXI-100.ProbeA"
    names = [(f"CH{channel}", 0.195, "uV") for channel in saved]
    write_stream(recording / "continuous" / stream, np.zeros((60, len(names))))
    entry = describe_stream(stream, names)
    if named_electrodes:
        for channel, electrode in zip(entry["channels"], saved, strict=True):
            channel["channel_metadata"] = [{"name": "electrode_index", "value": [electrode]}]
    structure = {"GUI version": "0.6.7", "continuous": [entry], "events": [], "spikes": []}
    (recording / "structure.oebin").write_text(json.dumps(structure))
    write_probe_settings(node / "settings.xml", part_number, **settings)
    return node


def write_probe_settings(
    file,
    part_number,
    *,
    selected=lambda channel: channel,
    places=None,
    shank=lambda channel: 0,
    library_version="0.6.6",
    more_nodes=(101,),
    channel_map=False,
):
    """Write settings as GUI 0.6 does: 384 channels at x and y on the probe (plugin 0.2.0: none)."""
    catalogue = build_neuropixels_probe(part_number).contact_positions
    places = places or (lambda channel: catalogue[selected(channel)])
    keys = range(384)

    def listed(value):
        return " ".join(f'CH{channel}="{value(channel)}"' for channel in keys)

    stream = '<STREAM name="ProbeA" sample_rate="30000.0" channel_count="384"/>'
    mapped = "".join(f'<CH index="{channel}" enabled="1"/>' for channel in reversed(keys))
    map_xml = (
        f'<PROCESSOR name="Channel Map" nodeId="102">{stream}<CUSTOM_PARAMETERS>'
        f'<STREAM name="ProbeA">{mapped}</STREAM></CUSTOM_PARAMETERS></PROCESSOR>'
    )
    nodes = (map_xml if channel_map else "").join(
        [
            "",
            *(
                f'<PROCESSOR name="Record Node" nodeId="{n}">{stream}</PROCESSOR>'
                for n in more_nodes
            ),
        ]
    )
    xy_xml = (
        f"<ELECTRODE_XPOS {listed(lambda channel: places(channel)[0])}/>"
        f"<ELECTRODE_YPOS {listed(lambda channel: places(channel)[1])}/>"
    )
    file.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<SETTINGS><INFO><VERSION>0.6.7</VERSION></INFO>'
        f'<SIGNALCHAIN><PROCESSOR name="Neuropix-PXI" libraryVersion="{library_version}" '
        f'nodeId="100">{stream}<EDITOR><NP_PROBE slot="2" port="1" dock="1" isEnabled="1" '
        f'probe_serial_number="1" probe_part_number="{part_number}" custom_probe_name="1">'
        f"<CHANNELS {listed(lambda channel: f'0:{shank(channel)}')}/>"
        f"{xy_xml if library_version != '0.2.0' else ''}"
        f"</NP_PROBE></EDITOR></PROCESSOR>{nodes}</SIGNALCHAIN></SETTINGS>"
    )
