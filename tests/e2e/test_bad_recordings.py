"""What cannot be sorted ends with its own class, a sentence and a next step; nothing is lost."""

from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.runs import RunState
from spikefleet.infra.rpc.errors import ServiceError

CASES = {
    "silent": ("insufficient_activity", "unsortable"),
    "noise": ("insufficient_activity", "unsortable"),
    "flat": ("no_good_channels", "unsortable"),
    "saturated": ("saturated_signal", "unsortable"),
    "nan_burst": ("input_corrupt", "input_error"),
    "truncated": ("input_corrupt", "input_error"),
    "empty": ("input_corrupt", "input_error"),
}


def end(service, path: Path):
    with service.client() as client:
        batch = client.submit(path, SORTER)
        (run,) = client.wait(batch.run_ids, timeout_s=120)
        return run, client.report(run.run_id).report


@pytest.mark.parametrize("condition", CASES)
def test_a_bad_recording_ends_with_its_own_class(shared_service, tmp_path, condition):
    recording = make_recording(tmp_path, seconds=10.0, channels=8, units=3, condition=condition)
    before = {p: p.stat().st_size for p in recording.path.parent.rglob("*") if p.is_file()}
    run, report = end(shared_service, recording.path)
    code, status = CASES[condition]
    assert run.failure is not None
    assert (str(run.failure.code), run.status) == (code, status)
    assert run.state is RunState.SKIPPED
    assert run.failure.message.count(".") >= 1
    assert run.failure.row.next_step
    assert report["status"] == status
    assert not [a for a in run.attempts if a.stage == "sort"]
    after = {p: p.stat().st_size for p in recording.path.parent.rglob("*") if p.is_file()}
    assert after == before


def quiet_at_first(folder: Path, quiet_s: float) -> Path:
    """A healthy recording of 20 s whose first seconds are another one's plain noise."""
    made = make_recording(folder / "healthy", seconds=20.0, channels=8, units=3, seed=5).path
    noise = make_recording(folder / "noise", seconds=20.0, channels=8, condition="noise").path
    name = "traces_cached_seg0.raw"
    samples = np.memmap(made / name, dtype="<i2", mode="r+").reshape(-1, 8)
    n_quiet = round(quiet_s * len(samples) / 20.0)
    samples[:n_quiet] = np.memmap(noise / name, dtype="<i2", mode="r").reshape(-1, 8)[:n_quiet]
    samples.flush()
    return made


def test_a_healthy_recording_with_a_quiet_start_is_told_so_and_sorted(shared_service, tmp_path):
    run, report = end(shared_service, quiet_at_first(tmp_path, 2.5))
    assert (run.state, run.status) == (RunState.SUCCEEDED, "success")
    assert run.result["n_units_sorted"] >= 2
    assert "quiet_start" in [entry["code"] for entry in report["preflight"]["findings"]]
    assert set(run.result["projection"]) >= {"memory_bytes", "duration_s"}


@pytest.mark.slow
def test_kilosort4_sorts_a_quiet_start_as_the_finding_advises(shared_service, tmp_path):
    path = quiet_at_first(tmp_path, 2.5)
    with shared_service.client() as client:
        batch = client.submit(path, "kilosort4", sorter_params={"batch_size": 13_000})
        (run,) = client.wait(batch.run_ids, timeout_s=400)
    assert (run.state, run.failure) == (RunState.SUCCEEDED, None)


def test_a_recording_that_went_missing_is_a_run_that_says_so(shared_service, tmp_path):
    with shared_service.client() as client:
        missing = client.add_recording(tmp_path / "not-there.raw.h5")
        batch = client.sort([missing.recording_id], SORTER)
        (run,) = client.wait(batch.run_ids, timeout_s=120)
        report = client.report(run.run_id).report
    assert run.failure is not None
    assert (str(run.failure.code), run.outcome) == ("input_missing", "input_error")
    assert "not-there.raw.h5" in run.failure.message
    assert report["status"] == "input_error"


def test_a_path_at_which_nothing_is_starts_nothing(shared_service, tmp_path):
    with shared_service.client() as client:
        before = client.list().runs[:1]
        with pytest.raises(InputMissingError, match="nothing was submitted"):
            client.submit(tmp_path / "not-there.raw.h5", SORTER)
        with pytest.raises(InputMissingError, match="nothing was submitted"):
            client.submit(tmp_path / "not-there.raw.h5", SORTER, in_place=True)
        assert [run.run_id for run in client.list().runs[:1]] == [run.run_id for run in before]


@pytest.mark.slow
def test_a_plate_with_one_silent_well_ends_five_sorted_one_unsortable(shared_service, tmp_path):
    plate = make_recording(
        tmp_path,
        format="maxwell",
        seconds=12.0,
        channels=12,
        units=3,
        wells=6,
        silent_wells=(4,),
    )
    with shared_service.client() as client:
        batch = client.submit(plate.path, SORTER)
        assert [run.run.stream for run in batch.runs] == [f"well{n:03d}" for n in range(6)]
        runs = client.wait(batch.run_ids, timeout_s=280)
        summary = client.get_batch(batch.batch_id).summary
    assert summary == "5 success, 1 unsortable"
    assert [run.status for run in runs] == ["success"] * 4 + ["unsortable", "success"]


def test_an_unknown_stream_fails_before_anything_starts(shared_service, recording):
    with shared_service.client() as client:
        before = len(client.list(page_size=500).runs)
        with pytest.raises(ServiceError) as refused:
            client.submit(recording, SORTER, streams=("well099",))
        assert refused.value.reason == "UNKNOWN_STREAM"
        assert len(client.list(page_size=500).runs) == before
