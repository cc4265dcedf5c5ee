"""Doubts about what a file says of itself, as findings: real files and facts made by hand."""

import h5py
from tests.support.formats.raw_binary import smooth_samples, write_raw_binary
from tests.support.recordings import make_recording

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import fail, note, warn
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.preflight.examine import examine_stream
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.registry import Facts, run_preflight

BACKEND = BackendInfo("toy", "Toy", "", "", uses_gpu=False)


def examine(tmp_path, path, **config):
    root, paths, entry = recording_files(path)
    files = tuple(ManifestFile(p.relative_to(root).as_posix(), p.stat().st_size, "") for p in paths)
    name = RecordingName("lab", "day", "slice")
    recording = Recording("rec-1", name, files, "d", str(root), in_place=True, entry=entry)
    places = PreflightPlaces(f"file://{tmp_path}/artifacts", str(tmp_path / "scratch"))
    config = {"sorter": {"sorter_name": "kilosort4"}} | config
    answer = examine_stream(places, ExamineTask(recording, "", SortingConfig.from_document(config)))
    return answer, {finding.code: finding for finding in answer.findings}


def test_a_frame_gap_is_one_warning_with_count_and_first_place(tmp_path):
    path = make_recording(tmp_path / "r", "maxwell").path
    with h5py.File(path, "r+") as file:
        numbers = file["data_store/data0000/groups/routed/frame_nos"]
        numbers[5000:] = numbers[5000:] + 37
    answer, found = examine(tmp_path, path)
    assert answer.failure is None
    assert "dropped_frames" not in found
    assert "37 frames are missing in 1 place" in found["frame_gaps"].message
    assert "frame 5000" in found["frame_gaps"].message


def test_a_configured_gain_settles_the_doubt_about_the_files(tmp_path):
    samples = smooth_samples(100_000, 4).astype("float32")
    path = write_raw_binary(tmp_path / "day.raw", samples, gain_to_uv=6.3)
    assert "scale_doubtful" in examine(tmp_path, path)[1]
    assert "scale_doubtful" not in examine(tmp_path, path, recording={"gain_to_uv": 1.0})[1]


def test_a_doubt_that_spoils_everything_fails():
    doubt = fail("duplicate_channels", InputCorruptError("It is wrong.", frame=3))
    decided = decide(run_preflight(Facts(BACKEND, truth=(doubt,))))
    assert decided.code is FailureCode.INPUT_CORRUPT
    assert decided.rule_id == "preflight.duplicate_channels"
    assert decided.evidence["frame"] == 3


def test_a_doubt_about_each_joined_recording_is_told_of_each():
    gap = warn("frame_gaps", "5 frames are missing.")
    truth = (gap.of_part("day1"), gap.of_part("day2"))
    told = [f for f in run_preflight(Facts(BACKEND, truth=truth)) if f.code == "frame_gaps"]
    assert [finding.evidence["recording"] for finding in told] == ["day1", "day2"]


def test_a_note_is_for_inspect_alone():
    doubt = note("unsigned", "Unsigned.")
    assert run_preflight(Facts(BACKEND, truth=(doubt,))) == run_preflight(Facts(BACKEND))
