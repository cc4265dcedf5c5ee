"""Preflight on real files in every state a rig hands over."""

import fcntl
from dataclasses import replace

import numpy as np
import pytest
from tests.support.formats.openephys import write_continuous
from tests.support.formats.raw_binary import write_raw_binary
from tests.support.recordings import make_recording

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import Disposition, FailureCode
from spikefleet.core.policy.budgets import Policy
from spikefleet.core.policy.decide import DecisionContext, decide
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.preflight.describe import describe_recording
from spikefleet.preflight.estimate import estimate_resources
from spikefleet.preflight.examine import examine_stream
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.recording_paths import bring
from spikefleet.signal.open import open_recording

NAME = RecordingName("lab", "day", "slice")
CONFIG = {"sorter": {"sorter_name": "kilosort4"}}


@pytest.fixture
def places(tmp_path):
    return PreflightPlaces(f"file://{tmp_path}/artifacts", str(tmp_path / "scratch"))


def register(path) -> Recording:
    root, paths, entry = recording_files(path)
    files = tuple(ManifestFile(p.relative_to(root).as_posix(), p.stat().st_size, "") for p in paths)
    return Recording("rec-1", NAME, files, "d", str(root), in_place=True, entry=entry)


def examine(places, accepted, **config):
    return examine_stream(
        places, ExamineTask(accepted, "", SortingConfig.from_document(CONFIG | config))
    )


def test_healthy_recording_has_no_failure_and_is_measured(places, tmp_path):
    recording = register(make_recording(tmp_path / "r", seconds=8.0).path)
    answer = examine(places, recording)
    assert answer.failure is None
    assert answer.stream.n_channels == 8
    assert answer.stream.duration_s == pytest.approx(8.0)
    assert answer.measurements["median_noise_uv"] > 0
    assert answer.estimate.scratch_bytes > 0


@pytest.mark.parametrize(
    ("condition", "code", "rule_id"),
    [
        ("silent", FailureCode.INSUFFICIENT_ACTIVITY, "preflight.silent"),
        ("noise", FailureCode.INSUFFICIENT_ACTIVITY, "preflight.noise_only"),
        ("flat", FailureCode.NO_GOOD_CHANNELS, "preflight.flat"),
        ("saturated", FailureCode.SATURATED_SIGNAL, "preflight.saturated"),
        ("nan_burst", FailureCode.INPUT_CORRUPT, "preflight.finite"),
        ("truncated", FailureCode.INPUT_CORRUPT, "preflight.readable"),
        ("empty", FailureCode.INPUT_CORRUPT, "preflight.readable"),
    ],
)
def test_each_bad_state_ends_with_its_own_class(places, tmp_path, condition, code, rule_id):
    recording = register(make_recording(tmp_path / "r", condition=condition).path)
    answer = examine(places, recording)
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.rule_id) == (code, rule_id)
    assert answer.findings[0].level == "fail"
    assert answer.findings[0].remediation


def test_missing_recording_is_named(places):
    recording = Recording("rec-1", NAME, (), "d", "/data/gone.raw.h5", in_place=True, missing=True)
    answer = examine(places, recording)
    assert answer.failure is not None
    assert answer.failure.code is FailureCode.INPUT_MISSING
    assert answer.failure.rule_id == "preflight.recording_missing"
    assert describe_recording(places, recording).failure.code is FailureCode.INPUT_MISSING


def test_file_that_vanished_since_it_was_registered_is_missing(places, tmp_path):
    folder = make_recording(tmp_path / "r", format="spikeglx").path
    recording = register(folder)
    next(folder.rglob("*.meta")).unlink()
    assert examine(places, recording).failure.code is FailureCode.INPUT_MISSING


def test_file_that_changed_since_it_was_registered_is_corrupt(places, tmp_path):
    folder = make_recording(tmp_path / "r", format="spikeglx").path
    recording = register(folder)
    with next(folder.rglob("*.bin")).open("ab") as handle:
        handle.write(b"\0" * 16)
    failure = examine(places, recording).failure
    assert failure.code is FailureCode.INPUT_CORRUPT
    assert failure.evidence["reason"] == "size_changed"


def test_channels_that_are_left_out_are_neither_measured_nor_doubted(places, tmp_path):
    made = open_recording(make_recording(tmp_path / "r", channels=5, seconds=8.0).path)
    samples = made.get_traces().copy()
    samples[:, 2] = 40
    recording = register(write_raw_binary(tmp_path / "dead.raw", samples))
    before = examine(places, recording)
    after = examine(places, recording, recording={"bad_channels": ["detected"]})
    said = {finding.code: finding.message for finding in after.findings}
    assert len(before.measurements["flat_channels"]) == 1
    assert said["channels_left_out"].startswith("1 of 5 channels are left out: 2 (never changes)")
    assert list(after.measurements["flat_channels"]) == []
    wrong = examine(places, recording, recording={"bad_channels": ["no such"]})
    assert wrong.failure.code is FailureCode.INVALID_CONFIGURATION


def test_uploaded_recording_is_read_from_the_store(places, tmp_path):
    folder = make_recording(tmp_path / "r", format="spikeglx").path
    in_place = register(folder)
    store = LocalArtifacts(tmp_path / "artifacts")
    for file in in_place.files:
        store.put_file(f"recordings/rec-1/files/{file.path}", folder / file.path)
    uploaded = replace(in_place, location="recordings/rec-1", in_place=False)
    with bring(store, uploaded) as roots:
        found = replace(places, roots=roots)
    assert examine(found, uploaded).failure is None
    assert len(describe_recording(found, uploaded).description.streams) == 1


def test_a_run_waits_for_a_file_that_another_program_still_writes(places, tmp_path):
    recording = register(make_recording(tmp_path, "maxwell").path)
    with (tmp_path / recording.entry).open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        refused = examine(places, recording).failure
    context = DecisionContext(stage="preflight", params={}, config={}, ladder=())
    decided = decide(refused, [], Policy(), context)
    assert (decided.action, decided.rule_id) == (Disposition.RETRY_SAME, "still_written.retry_same")
    assert decided.delay_s >= Policy().writing_pause_s
    assert examine(places, recording).failure is None


@pytest.mark.parametrize("format", ["spikeglx", "binary"])
def test_a_file_that_grew_since_it_was_registered_is_submitted_again_later(
    places, tmp_path, format
):
    path = make_recording(tmp_path, format).path
    recording = register(path)
    largest = max((file for file in recording.files), key=lambda file: file.size_bytes)
    with (path / largest.path).open("ab") as growing:
        growing.write(bytes(4096))
    failure = examine(places, recording).failure
    assert failure.evidence["reason"] == "size_changed"
    assert "when nothing writes to it any more" in failure.message


def test_a_refusal_calls_an_uploaded_folder_by_its_own_name(places, tmp_path):
    folder = write_continuous_folder(tmp_path / "mouse7")
    in_place = register(folder)
    store = LocalArtifacts(tmp_path / "artifacts")
    for file in in_place.files:
        store.put_file(f"recordings/rec-1/files/{file.path}", folder / file.path)
    uploaded = replace(in_place, location="recordings/rec-1", in_place=False)
    with bring(store, uploaded) as roots:
        refused = examine(replace(places, roots=roots), uploaded)
    assert refused.failure.evidence["reason"] == "no_geometry"
    assert refused.failure.message.startswith(f"{NAME.name}: ")


def write_continuous_folder(folder):
    for name in ("CH1", "CH2"):
        write_continuous(folder, name, np.zeros(1024 * 4))
    return folder


def test_upload_that_left_the_store_is_missing(places):
    recording = Recording("rec-9", NAME, (), "d", "recordings/rec-9")
    assert examine(places, recording).failure.code is FailureCode.INPUT_MISSING


def test_every_well_of_a_plate_is_a_stream_of_its_own(places, tmp_path):
    source = make_recording(
        tmp_path / "r", format="maxwell", wells=2, silent_wells=(1,), name="plate.raw.h5"
    )
    recording = register(source.path)
    streams = describe_recording(places, recording).description.streams
    assert len(streams) == 2
    answers = [
        examine_stream(
            places, ExamineTask(recording, s.stream, SortingConfig.from_document(CONFIG))
        ).failure
        for s in streams
    ]
    assert answers[0] is None
    assert answers[1].code is FailureCode.INSUFFICIENT_ACTIVITY


def test_unknown_stream_is_a_configuration_failure(places, tmp_path):
    recording = register(make_recording(tmp_path / "r").path)
    failure = examine_stream(
        places, ExamineTask(recording, "well999", SortingConfig.from_document(CONFIG))
    ).failure
    assert failure.code is FailureCode.INVALID_CONFIGURATION


def test_window_that_holds_too_little_names_the_field(places, tmp_path):
    recording = register(make_recording(tmp_path / "r").path)
    failure = examine(places, recording, recording={"end_time_s": 1.0}).failure
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert failure.evidence["field"] == "recording.end_time_s"


def test_preflight_switched_off_opens_but_does_not_judge(places, tmp_path):
    recording = register(make_recording(tmp_path / "r", condition="silent").path)
    answer = examine(places, recording, execution={"preflight": False})
    assert answer.failure is None
    assert answer.measurements == {}
    assert answer.stream is not None


def test_configured_gain_is_the_scale_that_is_measured(places, tmp_path):
    recording = register(make_recording(tmp_path / "r").path)
    plain = examine(places, recording).measurements["median_noise_uv"]
    scaled = examine(places, recording, recording={"gain_to_uv": 1.0, "offset_to_uv": 0.0})
    assert scaled.measurements["median_noise_uv"] != pytest.approx(plain)


def test_estimate_grows_with_the_signal_and_knows_the_gpu():
    small = estimate_resources(
        channel_count=16, sampling_rate_hz=20_000.0, kept_s=30.0, on_gpu=False
    )
    large = estimate_resources(
        channel_count=1018, sampling_rate_hz=20_000.0, kept_s=3_600.0, on_gpu=True
    )
    assert small.gpu_memory_bytes == 0 < large.gpu_memory_bytes
    assert large.scratch_bytes > 100 * small.scratch_bytes
    assert np.all(
        np.array([large.memory_bytes, large.duration_s])
        > np.array([small.memory_bytes, small.duration_s])
    )


@pytest.mark.parametrize("n_frames", [1, 2, 500])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"recording": {"bad_channels": "detected"}},
        {"sorter": {"sorter_name": "simple"}},
    ],
)
def test_of_a_moment_only_its_shortness_is_told_and_no_headstage_is_blamed(
    places, tmp_path, n_frames, asked
):
    folder = tmp_path / "r"
    folder.mkdir()
    samples = np.random.default_rng(1).normal(0, 50, (n_frames, 8)).astype(np.int16)
    write_raw_binary(folder / "a.raw", samples)
    answer = examine(places, register(folder), **asked)
    assert answer.failure is not None
    assert answer.failure.rule_id == "preflight.duration_short"
    assert "not stopped as it began" in answer.failure.next_step
    assert [f.code for f in answer.findings if f.level == "fail"] == ["duration_short"]
