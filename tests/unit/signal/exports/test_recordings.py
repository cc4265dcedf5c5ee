"""Each of several recordings sorted as one has its own spikes in an export."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from tests.unit.signal.exports.test_nwb import KNOWN, worst

from spikefleet.signal.exports.recordings import recordings_of
from spikefleet.signal.exports.source import ExportSource, read_source
from spikefleet.signal.exports.write import export_results

FIRST = 140_000  # frames of the first of two recordings; 40 000 to 240 000 of both were sorted


@pytest.fixture
def joined(fetched: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(fetched, tmp_path / "run"))
    shutil.rmtree(folder / "exports", ignore_errors=True)
    for name in ("sort/timeline.json", "curate/timeline.json"):
        told = json.loads((folder / name).read_text())
        told["files"] = [
            {"name": "a", "n_samples": FIRST},
            {"name": "../b c", "n_samples": 300_000 - FIRST},
        ]
        (folder / name).write_text(json.dumps(told))
    return folder


def test_one_recording_has_no_parts(source: ExportSource) -> None:
    assert recordings_of(source) == {}


def test_the_parts_have_every_spike_once_in_their_own_frames(joined: Path) -> None:
    source = read_source(joined)
    first, second = recordings_of(source).values()
    for whole, a, b in zip(source.units, first.units, second.units, strict=True):
        assert np.array_equal(np.concatenate([a.frames, b.frames + FIRST]), whole.frames)
        assert a.quality.spike_count == len(a.frames)
        assert a.fetched.metrics.keys() <= {"label", "label_why"}
    assert (first.observed_s(), second.observed_s()) == ([(2.0, 7.0)], [(0.0, 5.0)])


def test_each_recording_has_a_folder_with_a_safe_name(joined: Path) -> None:
    export_results(joined, ["npz", "parquet", "spikelab", "phy"])
    folders = sorted((joined / "exports" / "recordings").iterdir())
    assert [folder.name[:4] for folder in folders] == ["a", "b-c-"]
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert names == {".written.json", "sorted.npz", "units.parquet", "spikelab.h5"}
    with np.load(folders[0] / "sorted.npz", allow_pickle=False) as stored:
        assert stored["spike_train"].max() < FIRST


def test_the_nwb_of_each_recording_opens_and_is_what_dandi_takes(joined: Path) -> None:
    source = read_source(joined)
    export_results(joined, ["nwb"], metadata=KNOWN)
    for name, part in recordings_of(source).items():
        path = joined / "exports" / "recordings" / name / "sorted.nwb"
        with NWBHDF5IO(path, "r") as io:
            units = io.read().units.to_dataframe()
            trains = [row["spike_times"] for _, row in units.iterrows()]
        for train, unit in zip(trains, part.units, strict=True):
            assert np.array_equal(train, unit.frames / 20_000.0)
        assert worst(path) == []


def test_sampled_waveforms_of_a_part_are_of_its_own_spikes(joined: Path) -> None:
    record = joined / "report" / "recording_report.json"
    told = json.loads(record.read_text())
    told["config"]["compilation"] = {"compile_waveforms": True}
    record.write_text(json.dumps(told))
    export_results(joined, ["npz"])
    (second,) = (joined / "exports" / "recordings").glob("b-c-*")
    with np.load(second / "sorted.npz", allow_pickle=False) as stored:
        row = stored["units"][0]
        train = stored["spike_train"][row["spike_start"] : row["spike_stop"]]
        assert len(stored["waveforms_0"]) == len(stored["waveform_frames_0"]) > 0
        assert np.isin(stored["waveform_frames_0"], train).all()


def test_recordings_are_not_compiled_apart_where_the_settings_say_so(joined: Path) -> None:
    record = joined / "report" / "recording_report.json"
    told = json.loads(record.read_text())
    told["config"]["compilation"] = {"compile_single_recording": False}
    record.write_text(json.dumps(told))
    export_results(joined, ["npz", "compiled"])
    assert not (joined / "exports" / "recordings").exists()
