"""What is written down before the first signal."""

import os
from pathlib import Path

import pytest

from spikefleet.core.attempts import RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import read_json
from spikefleet.core.guards.base import Reading
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.snapshot import take_snapshot, write_snapshot


class Full:
    name, interval_s, thresholds = "disk", 1.0, {"abort_free_bytes": 5.0}

    def read(self, now_s: float) -> Reading:
        return Reading(self.name, {"free_bytes": 3.0}, advisory="half blind")


def trip(**evidence: object) -> Failure:
    return Failure(FailureCode.DISK_EXHAUSTION, "full", rule_id="guard.disk", evidence=evidence)  # type: ignore[arg-type]


def test_readings_thresholds_and_live_processes_are_kept(tmp_path: Path) -> None:
    folder, guards = RunFolder(tmp_path), GuardLoop([Full()])
    guards.poll(0.0)
    why = trip(report={"folder": "x"})
    snapshot = take_snapshot(why, guards, [os.getpid(), 1 << 30])
    assert not folder.trip_snapshot.exists(), "nothing is written before the last signal"
    write_snapshot(folder, why, snapshot)
    kept = read_json(folder.trip_snapshot)
    assert kept is not None
    assert kept["readings"] == {"disk": {"free_bytes": 3.0}}
    assert kept["advisories"] == {"disk": "half blind"}
    assert kept["thresholds"] == {"disk.abort_free_bytes": 5.0}
    assert [process["pid"] for process in kept["processes"]] == [os.getpid()]
    assert kept["processes"][0]["resident_bytes"] > 1 << 20
    assert read_json(folder.disk_report) == {"folder": "x"}


def test_a_disk_that_takes_nothing_does_not_keep_the_child_alive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    write_snapshot(RunFolder(in_the_way), trip(), take_snapshot(trip(), GuardLoop([]), []))
    assert [record.message for record in caplog.records] == ["snapshot.not_written"]
