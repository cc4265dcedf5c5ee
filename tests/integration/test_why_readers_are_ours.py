"""What SpikeInterface's own reader does with files that we read: why ours stand beside it.

Each test holds one reason that docs/decisions/0012 names. One that fails after an upgrade is good
news: that part of our reader may go.
"""

import shutil

import numpy as np
import pytest
from spikeinterface.extractors import read_nwb_recording, read_openephys, read_spikeglx
from tests.support.formats.nwb_zarr import RATE_HZ, write_nwb
from tests.support.formats.openephys import write_neuropixels
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.open import list_streams, open_recording

SAMPLES = np.random.default_rng(0).integers(-500, 500, (1000, 4), dtype="<i2")
SERIES = "acquisition/probe0"


def test_a_spikeglx_file_cut_in_half_opens_there_as_if_it_were_whole(tmp_path):
    folder = make_recording(tmp_path, "spikeglx", seconds=0.2).path
    binary = next(folder.glob("*.bin"))
    binary.write_bytes(binary.read_bytes()[: binary.stat().st_size // 2])
    assert read_spikeglx(folder, stream_id="imec0.ap").get_num_frames() > 0
    with pytest.raises(InputCorruptError, match="where its header says"):
        open_recording(folder)


def test_a_spikeglx_run_with_a_blank_in_its_name_is_refused_there(tmp_path):
    folder = make_recording(tmp_path, "spikeglx", name="mouse 7", seconds=0.2).path
    with pytest.raises(ValueError, match="Cannot parse filename"):
        read_spikeglx(folder, stream_id="imec0.ap")
    assert open_recording(folder).get_num_frames() > 0


def test_hidden_files_of_a_mac_beside_a_spikeglx_run_break_it_there(tmp_path):
    folder = make_recording(tmp_path, "spikeglx", seconds=0.2).path
    for file in list(folder.iterdir()):
        (folder / f"._{file.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(4092))
    with pytest.raises(KeyError):
        read_spikeglx(folder, stream_id="imec0.ap")
    assert open_recording(folder).get_num_frames() > 0


def test_spikeglx_probes_that_share_a_file_name_are_refused_there(tmp_path):
    run = tmp_path / "run"
    for number in (1, 2):
        made = make_recording(tmp_path / f"made{number}", "spikeglx", seconds=0.2).path
        (run / f"probe_{number}").mkdir(parents=True)
        for file in made.iterdir():
            shutil.copyfile(file, run / f"probe_{number}" / f"npx.imec.ap{file.suffix}")
    with pytest.raises(ValueError, match="same stream"):
        read_spikeglx(run)
    assert len(list_streams(run).streams) == 2


def test_electrodes_named_by_open_ephys_itself_are_not_used_there(tmp_path):
    node = write_neuropixels(tmp_path, range(383, -1, -1), channel_map=True)
    with pytest.raises(ValueError, match="Could not match electrode positions"):
        read_openephys(node, stream_id="0")
    assert open_recording(node).get_channel_locations()[0, 1] > 3000


def test_unix_time_stamps_of_nwb_give_a_wrong_rate_there(tmp_path):
    stamps_s = 1.7e9 + np.arange(1000) / RATE_HZ
    theirs = read_nwb_recording(
        str(write_nwb(tmp_path / "a.nwb", SAMPLES, timestamps_s=stamps_s)),
        electrical_series_path=SERIES,
    )
    ours = open_recording(write_nwb(tmp_path / "b.nwb", SAMPLES, timestamps_s=stamps_s))
    assert abs(theirs.sampling_frequency / RATE_HZ - 1) > 1e-3
    assert abs(ours.sampling_frequency / RATE_HZ - 1) < 1e-5


def test_a_gap_in_the_time_stamps_of_nwb_is_silent_there(tmp_path):
    stamps_s = np.arange(1000) / RATE_HZ
    stamps_s[400:] += 37 / RATE_HZ
    theirs = read_nwb_recording(
        str(write_nwb(tmp_path / "a.nwb", SAMPLES, timestamps_s=stamps_s)),
        electrical_series_path=SERIES,
    )
    assert (theirs.get_num_segments(), theirs.get_num_frames()) == (1, 1000)
    ours = open_recording(write_nwb(tmp_path / "b.nwb", SAMPLES, timestamps_s=stamps_s))
    assert ours.get_annotation("frame_gaps") == [[400, 37]]
