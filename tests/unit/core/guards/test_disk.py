"""Free space of the scratch disk."""

from pathlib import Path

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.guards.disk import DiskUsageWatchdog


def test_a_trip_names_the_largest_files_first(tmp_path: Path) -> None:
    (tmp_path / "small.bin").write_bytes(b"x")
    (tmp_path / "sorter").mkdir()
    (tmp_path / "sorter" / "large.bin").write_bytes(b"x" * 1000)
    trip = DiskUsageWatchdog(tmp_path, warn_free_gb=2e9, abort_free_gb=1e9).read(0.0).trip
    assert trip is not None
    assert trip.code is FailureCode.DISK_EXHAUSTION
    consumers = trip.evidence["top_consumers"]
    assert isinstance(consumers, list)
    assert consumers[0] == {"path": "sorter/large.bin", "size_bytes": 1000}


def test_zero_never_trips_but_warns(tmp_path: Path) -> None:
    reading = DiskUsageWatchdog(tmp_path, warn_free_gb=2e9, abort_free_gb=0).read(0.0)
    assert reading.trip is None
    assert "GiB are free" in reading.warning


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
