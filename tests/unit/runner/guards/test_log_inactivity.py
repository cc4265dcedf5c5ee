"""Silence, and what breaks it."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.guards.sources import TreeSample
from spikefleet.runner.guards.log_inactivity import (
    LogInactivityWatchdog,
    compute_inactivity_timeout_s,
)
from spikefleet.runner.guards.quiet import Surroundings


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
    assert guard.read(100).trip is None
    trip = guard.read(105).trip
    assert trip is not None
    assert trip.code is FailureCode.SORTER_TIMEOUT
    assert trip.evidence["inactivity_s"] == 105


def test_a_machine_that_was_frozen_is_given_a_second_look(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("started\n")
    guard = LogInactivityWatchdog([log], timeout_s=100)
    guard.read(0)
    assert guard.read(9000).trip is None, "the sorter was frozen as well"
    log.write_text("started\nand thawed\n")
    assert guard.read(9005).values["idle_seconds"] == 0


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
    assert guard.read(460).trip is None
    assert guard.read(465).trip is not None


def test_a_deleted_log_does_not_blind_the_guard(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("started\n")
    guard = LogInactivityWatchdog([log], timeout_s=100)
    guard.read(0)
    log.unlink()
    assert [guard.read(now_s).trip is None for now_s in (60, 100, 105)] == [True, True, False]


class Computing:
    """A process tree that uses ``cores`` of a core for ever."""

    def __init__(self, cores: float) -> None:
        self.cores, self.now_s = cores, 0.0

    def read(self) -> TreeSample:
        return TreeSample(1, self.cores * self.now_s, 0, 0)


def ends_at_s(tmp_path: Path, step: str, cores: float, upto_s: int = 2000) -> float | None:
    """When a sort that never writes again is stopped, with 100 s allowed."""
    log = tmp_path / "child.log"
    log.write_text("started\n")
    tree = Computing(cores)
    around = Surroundings(tree, lambda: step)  # type: ignore[arg-type]
    guard = LogInactivityWatchdog([log], timeout_s=100, surroundings=around)
    for now_s in range(0, upto_s, 5):
        tree.now_s = now_s
        if guard.read(now_s).trip is not None:
            return now_s
    return None


@pytest.mark.parametrize(
    ("step", "cores", "expected_s"),
    [
        ("final clustering", 0.0, 105),  # hung
        ("final clustering", 0.01, 105),  # only its timers tick
        ("detect", 2.0, 105),  # spins where it should speak
        ("final clustering", 1.0, 1205),  # computes, but no sort is silent for ever
        ("", 1.0, 1205),
    ],
)
def test_silent_work_is_life_only_where_silence_is_known(
    tmp_path: Path, step: str, cores: float, expected_s: float
) -> None:
    assert ends_at_s(tmp_path, step, cores) == expected_s


def test_the_longest_silence_warns_and_names_itself(tmp_path: Path) -> None:
    tree = Computing(1.0)
    around = Surroundings(tree, lambda: "merge")  # type: ignore[arg-type]
    guard = LogInactivityWatchdog([tmp_path / "no.log"], timeout_s=100, surroundings=around)
    for now_s in range(0, 1200, 50):
        tree.now_s = now_s
        reading = guard.read(now_s)
    assert "busy, but no log line for 1150 s" in reading.warning
    tree.now_s = 1200
    assert guard.read(1200).trip is None
    tree.now_s = 1205
    trip = guard.read(1205).trip
    assert trip is not None
    assert "without a word" in trip.message
    assert trip.evidence["idle_s"] == 0


def test_folders_that_come_and_go_meanwhile_disturb_nothing(tmp_path: Path) -> None:
    is_over = threading.Event()

    def churn() -> None:
        while not is_over.is_set():
            for number in range(20):
                (tmp_path / "sorter" / f"tmp{number}" / "deep").mkdir(parents=True)
            for number in range(20):
                shutil.rmtree(tmp_path / "sorter" / f"tmp{number}")

    guard = LogInactivityWatchdog([], timeout_s=0.004, folder=tmp_path / "sorter")
    sorter = threading.Thread(target=churn)
    sorter.start()
    try:
        readings = [guard.read(float(number)) for number in range(300)]
    finally:
        is_over.set()
        sorter.join()
    assert {reading.guard for reading in readings} == {guard.name}


def test_a_known_log_is_watched_between_two_searches(tmp_path: Path) -> None:
    log = tmp_path / "sorter" / "kilosort4.log"
    log.parent.mkdir()
    log.write_text("a")
    guard = LogInactivityWatchdog([], timeout_s=600, folder=tmp_path / "sorter")
    guard.read(0)
    log.write_text("ab")
    assert guard.read(5).values["silent_seconds"] == 0
    (tmp_path / "sorter" / "new.log").write_text("x")
    assert guard.read(10).values["silent_seconds"] == 5
    assert guard.read(30).values["silent_seconds"] == 0
