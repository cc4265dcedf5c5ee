"""Free space of the scratch disk."""

from pathlib import Path

import pytest
from tests.support.real_limits import small_disk

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.runner.guards.disk import DiskUsageWatchdog, ScratchBudget

MIB = 2**20
MIB_IN_GIB = 1 / 1024


def trip_of(guard: DiskUsageWatchdog) -> Failure:
    trips = [guard.read(float(number)).trip for number in range(2)]
    assert trips[0] is None, "one reading must never kill"
    assert trips[1] is not None
    return trips[1]


def test_a_trip_names_the_largest_files_first(tmp_path: Path) -> None:
    (tmp_path / "small.bin").write_bytes(b"x")
    (tmp_path / "sorter").mkdir()
    (tmp_path / "sorter" / "large.bin").write_bytes(b"x" * MIB)
    trip = trip_of(DiskUsageWatchdog(tmp_path, warn_free_gb=2e9, abort_free_gb=1e9))
    assert trip.code is FailureCode.DISK_EXHAUSTION
    consumers = trip.evidence["top_consumers"]
    assert isinstance(consumers, list)
    assert [entry["path"] for entry in consumers] == ["sorter/large.bin"]
    assert consumers[0]["size_bytes"] >= MIB


def test_a_trip_carries_the_report_operators_read(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(b"x" * MIB)
    budget = ScratchBudget(projected_bytes=1 << 60)
    guard = DiskUsageWatchdog(tmp_path, warn_free_gb=2e9, abort_free_gb=1e9, budget=budget)
    report = trip_of(guard).evidence["report"]
    assert isinstance(report, dict)
    assert set(report) == {
        "folder",
        "free_gb_at_trip",
        "abort_threshold_gb",
        "projected_need_gb",
        "bytes_consumed_during_sort",
        "top_consumers",
        "suggested_actions",
    }
    assert report["projected_need_gb"] == 2.0**30
    (advice,) = report["suggested_actions"]
    assert advice.startswith("Free at least")
    assert report["top_consumers"][0]["path"] == "large.bin"


def test_a_disk_that_fills_up_warns_then_trips_on_real_bytes(tmp_path: Path) -> None:
    with small_disk(tmp_path, 24) as disk:
        guard = DiskUsageWatchdog(
            disk, warn_free_gb=12 * MIB_IN_GIB, abort_free_gb=6 * MIB_IN_GIB, interval_s=10.0
        )
        first = guard.read(0.0)
        assert (first.warning, first.trip) == ("", None)
        (disk / "filtered.bin").write_bytes(b"x" * 10 * MIB)
        near = guard.read(1.0)
        assert "are left" in near.warning
        assert (near.trip, guard.interval_s) == (None, 0.5)
        (disk / "templates.bin").write_bytes(b"x" * 6 * MIB)
        trip = trip_of(guard)
    assert trip.evidence["consumed_bytes"] >= 16 * MIB  # type: ignore[operator]
    assert trip.evidence["top_consumers"][0]["path"] == "filtered.bin"  # type: ignore[index, call-overload]


def test_a_volume_limit_binds_where_the_file_system_shows_room(tmp_path: Path) -> None:
    budget = ScratchBudget(limit_bytes=10 * MIB)
    guard = DiskUsageWatchdog(tmp_path, warn_free_gb=1e-6, abort_free_gb=1e-7, budget=budget)
    assert guard.read(0.0).values["own_bytes"] < MIB
    (tmp_path / "a.bin").write_bytes(b"x" * int(8.5 * MIB))
    warned = guard.read(1.0)
    assert "allowed" in warned.warning
    assert warned.trip is None
    (tmp_path / "b.bin").write_bytes(b"x" * MIB)
    trip = trip_of(guard)
    assert trip.evidence["limit_bytes"] == 10 * MIB


def test_a_small_volume_is_judged_by_its_own_size_not_by_marks_of_a_whole_disk(
    tmp_path: Path,
) -> None:
    budget = ScratchBudget(limit_bytes=10 * MIB)
    guard = DiskUsageWatchdog(tmp_path, warn_free_gb=1e-6, abort_free_gb=1e-7, budget=budget)
    least = guard.thresholds["abort_free_bytes"]
    disk_wide = DiskUsageWatchdog(tmp_path, warn_free_gb=0.2, abort_free_gb=0.1, budget=budget)
    assert disk_wide.thresholds["abort_free_bytes"] == least == pytest.approx(MIB)
    (tmp_path / "half.bin").write_bytes(b"x" * 5 * MIB)
    readings = [disk_wide.read(float(number)) for number in range(5)]
    assert [(each.warning, each.trip) for each in readings] == [("", None)] * 5


def test_a_single_reading_below_the_mark_does_not_kill(tmp_path: Path) -> None:
    budget = ScratchBudget(limit_bytes=10 * MIB)
    guard = DiskUsageWatchdog(tmp_path, warn_free_gb=1e-6, abort_free_gb=1e-7, budget=budget)
    spike = tmp_path / "spike.bin"
    for number in range(6):
        if number % 3 == 1:
            spike.write_bytes(b"x" * int(9.5 * MIB))
        else:
            spike.unlink(missing_ok=True)
        assert guard.read(float(number)).trip is None


def test_zero_never_trips_but_warns(tmp_path: Path) -> None:
    guard = DiskUsageWatchdog(tmp_path, warn_free_gb=2e9, abort_free_gb=0)
    readings = [guard.read(float(number)) for number in range(5)]
    assert [reading.trip for reading in readings] == [None] * 5
    assert "GiB are left" in readings[0].warning


def test_a_folder_that_is_not_there_yet_is_read_by_its_parent(tmp_path: Path) -> None:
    guard = DiskUsageWatchdog(tmp_path / "a" / "b", warn_free_gb=0, abort_free_gb=0)
    assert guard.read(0.0).values["free_bytes"] > 0


@pytest.mark.parametrize(
    ("warn", "abort"), [(-1.0, 0.0), (1.0, 2.0), (1.0, 1.0), (float("nan"), 0.0)]
)
def test_thresholds_that_make_no_sense_are_refused(
    tmp_path: Path, warn: float, abort: float
) -> None:
    with pytest.raises(ValueError, match=r"free space|warn"):
        DiskUsageWatchdog(tmp_path, warn_free_gb=warn, abort_free_gb=abort)
