"""Silence, and what breaks it."""

import os
from pathlib import Path

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.guards.log_inactivity import (
    LogInactivityWatchdog,
    compute_inactivity_timeout_s,
)


@pytest.mark.parametrize(
    ("minutes", "cap", "expected_s"),
    [
        (1, 7200.0, 630.0),
        (30, 7200.0, 1500.0),
        (220, 7200.0, 7200.0),
        (1000, None, 30600.0),
        (None, 7200.0, 600.0),
        (float("nan"), 7200.0, 600.0),
        (-5, 7200.0, 600.0),
    ],
)
def test_longer_recordings_may_be_silent_longer(
    minutes: float | None, cap: float | None, expected_s: float
) -> None:
    assert compute_inactivity_timeout_s(600, 30, minutes, cap) == expected_s


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_settings_that_are_no_times_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        compute_inactivity_timeout_s(bad, 30, 1, 7200)
    with pytest.raises(ValueError, match="finite"):
        LogInactivityWatchdog([], timeout_s=bad)


def test_silence_warns_at_half_and_trips_at_the_whole(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("started\n")
    guard = LogInactivityWatchdog([log], timeout_s=100)
    assert guard.read(0).warning == ""
    assert "50 s" in guard.read(50).warning
    trip = guard.read(100).trip
    assert trip is not None
    assert trip.code is FailureCode.SORTER_TIMEOUT
    assert trip.evidence["inactivity_s"] == 100


def test_any_change_of_any_watched_log_is_life(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    guard = LogInactivityWatchdog(
        [log], timeout_s=100, folder=tmp_path / "sorter", log_names=("progress.txt",)
    )
    guard.read(0)
    log.write_text("late start\n")
    assert guard.read(90).values["silent_seconds"] == 0
    (tmp_path / "sorter" / "deep").mkdir(parents=True)
    (tmp_path / "sorter" / "deep" / "kilosort4.log").write_text("x")
    assert guard.read(180).values["silent_seconds"] == 0
    (tmp_path / "sorter" / "progress.txt").write_text("x")
    assert guard.read(270).values["silent_seconds"] == 0
    os.utime(log, (1, 1))
    assert guard.read(360).values["silent_seconds"] == 0
    (tmp_path / "sorter" / "data.bin").write_text("not a log")
    assert guard.read(460).trip is not None


def test_a_deleted_log_does_not_blind_the_guard(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("started\n")
    guard = LogInactivityWatchdog([log], timeout_s=100)
    guard.read(0)
    log.unlink()
    assert guard.read(60).trip is None
    assert guard.read(100).trip is not None
