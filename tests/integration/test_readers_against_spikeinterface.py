"""Our readers beside SpikeInterface's own, on the same files: the same samples, rates and scales.

Formats whose unit tests compare already (Intan, Blackrock, Neuralynx, Open Ephys's older layout,
BioCAM) are not repeated. Where we differ on purpose, the test says so.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, BinaryFolderRecording
from spikeinterface.extractors import (
    read_maxwell,
    read_mcsh5,
    read_nwb_recording,
    read_openephys,
    read_spikeglx,
)
from tests.support.formats.mcs import write_mcs
from tests.support.formats.openephys import write_recording
from tests.support.formats.probes import make_noise, write_probe
from tests.support.recordings import make_recording

from spikefleet.signal.open import open_recording

REAL_HEADERS = Path("../shared/data/recordings/spikeglx")


def _maxwell(folder: Path) -> tuple[BaseRecording, BaseRecording]:
    path = make_recording(folder, "maxwell", wells=2).path
    theirs = read_maxwell(path, stream_id="well001", install_maxwell_plugin=False)
    return open_recording(path, "well001"), theirs


def _spikeglx(folder: Path) -> tuple[BaseRecording, BaseRecording]:
    path = make_recording(folder, "spikeglx").path
    return open_recording(path), read_spikeglx(path, stream_id="imec0.ap")


def _nwb(folder: Path) -> tuple[BaseRecording, BaseRecording]:
    path = make_recording(folder, "nwb").path
    theirs = read_nwb_recording(str(path))  # first: it locks the file, and HDF5 wants one way only
    return open_recording(path), theirs


def _binary(folder: Path) -> tuple[BaseRecording, BaseRecording]:
    path = make_recording(folder, "binary").path
    return open_recording(path), BinaryFolderRecording(path)


def _openephys(folder: Path) -> tuple[BaseRecording, BaseRecording]:
    channels = [(f"CH{index}", 0.195, "uV") for index in range(4)]
    node = write_recording(folder, make_noise(500, 4), channels)
    (node / "settings.xml").unlink()  # an empty one is enough for us, not for neo
    write_probe(node, 4)
    return open_recording(node), read_openephys(node, stream_id="0")


PAIRS: dict[str, Callable[[Path], tuple[BaseRecording, BaseRecording]]] = {
    "maxwell": _maxwell,
    "spikeglx": _spikeglx,
    "nwb": _nwb,
    "binary": _binary,
    "openephys": _openephys,
}


def _equal(ours: Any, theirs: Any) -> bool:
    return bool(np.allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-9))


@pytest.mark.parametrize("format", PAIRS)
def test_both_readers_give_the_same_recording(tmp_path: Path, format: str) -> None:
    ours, theirs = PAIRS[format](tmp_path)
    assert np.array_equal(ours.get_traces(), theirs.get_traces())
    assert ours.sampling_frequency == pytest.approx(theirs.sampling_frequency)
    assert _equal(ours.get_channel_gains(), theirs.get_channel_gains())
    assert _equal(ours.get_channel_offsets(), theirs.get_channel_offsets())
    assert [str(name) for name in ours.channel_ids] == [str(name) for name in theirs.channel_ids]
    if theirs.has_probe():
        assert _equal(ours.get_channel_locations(), theirs.get_channel_locations())


def test_mcs_files_give_the_same_samples_and_rate_but_rows_and_scale_by_channel(
    tmp_path: Path,
) -> None:
    """Theirs takes stored rows in order, and the first channel's scale for all; RowIndex says more.

    Theirs gives the offset in volts where µV are meant, so offsets are not compared.
    """
    samples = np.random.default_rng(0).integers(-900, 900, (6, 400), dtype="int32")
    path = write_mcs(tmp_path / "a.h5", samples)
    their = read_mcsh5(path, stream_id="0")
    theirs, their_gains = their.get_traces(), their.get_channel_gains()
    ours = open_recording(path)
    assert ours.sampling_frequency == pytest.approx(their.sampling_frequency)
    backwards = {str(10 + row): 5 - row for row in range(6)}  # as write_mcs numbers its rows
    for name in ours.channel_ids:
        trace = ours.get_traces(channel_ids=[name])[:, 0]
        assert np.array_equal(trace, theirs[:, backwards[str(name)]])
    assert ours.get_channel_gains()[0] == pytest.approx(their_gains[0])


@pytest.mark.skipif(not REAL_HEADERS.exists(), reason=f"{REAL_HEADERS} is not here")
@pytest.mark.parametrize(
    "name", ["NP2_2013_all_channels.imec0.ap.meta", "NP2_4_shanks.imec0.ap.meta"]
)
def test_real_probes_lie_where_spikeinterface_puts_them(tmp_path: Path, name: str) -> None:
    text = (REAL_HEADERS / name).read_text()
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    n_saved = int(fields["nSavedChans"])
    samples = np.random.default_rng(0).integers(-500, 500, (300, n_saved), dtype="<i2")
    said = f"fileSizeBytes={fields['fileSizeBytes']}"
    (tmp_path / name).write_text(text.replace(said, f"fileSizeBytes={samples.nbytes}"))
    samples.tofile((tmp_path / name).with_suffix(".bin"))
    ours, theirs = open_recording(tmp_path), read_spikeglx(tmp_path, stream_id="imec0.ap")
    assert np.array_equal(ours.get_traces(), theirs.get_traces()[:, : ours.get_num_channels()])
    assert _equal(ours.get_channel_locations(), theirs.get_channel_locations())
    assert _equal(ours.get_channel_gains(), theirs.get_channel_gains())
