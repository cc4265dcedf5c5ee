"""No byte moves: a stall only while something waits for the disk."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.runner.guards.io_stall import DeviceIO, IOSample, IOStallWatchdog


class Counted:
    """A source that counts what it was given, one sample after the other; the last stays."""

    def __init__(self, samples: Sequence[tuple[int, int] | None], label: str = "processes") -> None:
        self.label, self.device = label, "8:1" if label == "device" else ""
        self._samples = list(samples)

    def read(self) -> IOSample | None:
        found = self._samples.pop(0) if len(self._samples) > 1 else self._samples[0]
        return None if found is None else IOSample(*found)


def first_trip_s(samples: Sequence[tuple[int, int] | None], rounds: int = 100) -> float | None:
    guard = IOStallWatchdog(Counted(samples), stall_s=300, interval_s=10)
    for number in range(rounds):
        if guard.read(10.0 * number).trip is not None:
            return 10.0 * number
    return None


def test_waiting_without_a_byte_trips_at_the_time_allowed() -> None:
    assert first_trip_s([(500, 2)]) == 310
    guard = IOStallWatchdog(Counted([(500, 2)]), stall_s=300)
    for now_s in range(0, 300, 10):
        guard.read(now_s)
    assert "no byte moved for 290 s" in guard.read(290).warning
    assert guard.read(300).trip is None
    trip = guard.read(310).trip
    assert trip is not None
    assert (trip.code, trip.row.exit_code) == (FailureCode.IO_STALL, 108)
    assert trip.evidence["waiting_share"] == 1.0


def test_a_sort_that_computes_without_reading_is_no_stall() -> None:
    assert first_trip_s([(500, 0)], rounds=3000) is None


def test_one_moved_byte_starts_the_clock_anew() -> None:
    moving = [(500 + number // 20, 1) for number in range(600)]
    assert first_trip_s(moving, rounds=600) is None


def test_a_moment_of_waiting_after_long_computing_does_not_kill() -> None:
    assert first_trip_s([(500, 0)] * 40 + [(500, 3)] * 20, rounds=60) is None


def test_counters_that_cannot_be_read_make_it_advisory() -> None:
    guard = IOStallWatchdog(Counted([None]), stall_s=300)
    readings = [guard.read(1000.0 * number) for number in range(5)]
    assert [reading.trip for reading in readings] == [None] * 5
    assert (dict(readings[0].values), bool(readings[0].advisory)) == ({}, True)


def test_the_next_source_counts_when_the_first_cannot_be_read() -> None:
    device, processes = Counted([None], "device"), Counted([(5, 1)], "processes")
    guard = IOStallWatchdog(device, processes, stall_s=300)
    assert guard.read(0.0).advisory == "counting the processes instead"
    assert any(guard.read(100.0 * number).trip for number in range(1, 5))


def test_a_device_is_found_by_its_number_and_read_in_bytes(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    counters = tmp_path / "block" / f"{os.major(device)}:{os.minor(device)}" / "stat"
    counters.parent.mkdir(parents=True)
    counters.write_text("  10 0 200 5  20 0 300 9  3 4 14 0 0 0 0\n")
    folder = tmp_path / "attempt" / "not there yet"
    sample = DeviceIO(folder, tmp_path / "block").read()
    assert sample == IOSample(500 * 512, 3)
    counters.write_text("nonsense\n")
    assert DeviceIO(folder, tmp_path / "block").read() is None


def test_a_folder_without_a_block_device_is_unreadable(tmp_path: Path) -> None:
    source = DeviceIO(tmp_path, tmp_path / "no devices")
    assert (source.read(), source.label) == (None, "")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        IOStallWatchdog(Counted([None]), stall_s=bad)
