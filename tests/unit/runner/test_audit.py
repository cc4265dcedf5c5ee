"""The attempt's audit trail."""

import json
from pathlib import Path

import pytest

from spikefleet.runner.audit import AuditTrail
from spikefleet.runner.guards.loop import GuardEvent


def test_every_event_is_a_line_of_its_own_as_it_happens(tmp_path: Path) -> None:
    path = tmp_path / "watchdog_events.jsonl"
    trail = AuditTrail(path)
    trail.keep(GuardEvent("disk", "warn", "only 3 GiB are left", {"free_bytes": 3e9}))
    first = [json.loads(line) for line in path.read_text().splitlines()]
    assert first[0]["values"] == {"free_bytes": 3e9}
    assert (first[0]["watchdog"], first[0]["event"]) == ("disk", "warn")
    assert first[0]["timestamp"].endswith("+00:00")
    trail.note("supervisor", "sigterm", pids=[7, 8])
    assert json.loads(path.read_text().splitlines()[1])["pids"] == [7, 8]


def test_a_disk_that_takes_no_line_is_told_once_and_disturbs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(tmp_path / "no folder" / "events.jsonl")
    for _ in range(3):
        trail.note("supervisor", "sigterm")
    assert [record.message for record in caplog.records] == ["audit.not_written"]
