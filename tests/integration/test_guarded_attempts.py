"""Attempts against real limits: a memory cgroup, a small disk, uninterruptible sleep, orphans.

Each ends with its own code, on record, and with no process left.
"""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.attempts import (
    RunningAttempt,
    is_running,
    make_spec,
    start_attempt,
    wait_for,
)
from tests.support.fake_nvml import GIB, UUID
from tests.support.real_limits import memory_cgroup, small_disk

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FailureCode, row_for_exit
from spikefleet.core.files import read_json

MIB = 2**20
FAST = {"host_ram_poll_interval_s": 0.2}
# The node's own preflight would end an attempt whose GPU computes nothing.
GPU_ONLY = {"gpu_poll_interval_s": 0.05, "preflight": False}
PREFIX = "runs/run/attempts/sort-1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of the Linux kernel")


def finish(attempt: RunningAttempt, code: FailureCode, timeout_s: float = 30) -> AttemptOutcome:
    """The attempt ends as ``code``, says so everywhere, and leaves no process."""
    outcome = attempt.finish(timeout_s)
    assert outcome.failure is not None
    assert outcome.failure.code is code, outcome.failure
    row = row_for_exit(outcome.exit_code)
    assert row is not None
    assert row.code is code
    message = attempt.folder.termination_message.read_bytes()
    assert len(message) <= 4096
    assert json.loads(message)["class"] == row.class_name
    assert survivors(attempt) == []
    return outcome


def survivors(attempt: RunningAttempt) -> list[int]:
    """Live processes that were started for this attempt; forks keep the command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(attempt.folder.root) in words and is_running(process.pid):
            found.append(process.pid)
    return found


def events(attempt: RunningAttempt) -> list[dict[str, Any]]:
    lines = attempt.folder.watchdog_events.read_text().splitlines()
    return [json.loads(line) for line in lines]


def happened(attempt: RunningAttempt) -> list[tuple[str, str]]:
    return [(event["watchdog"], event["event"]) for event in events(attempt)]


def series(attempt: RunningAttempt, name: str) -> list[str]:
    port = (read_json(attempt.folder.started) or {})["metrics_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith(f"{name}{{")]


def start(tmp_path: Path, behaviour: str, gpu: Any = None, **changes: Any) -> RunningAttempt:
    spec = make_spec(tmp_path, gpu=gpu is not None, **changes)
    return start_attempt(spec, behaviour, tmp_path / "attempt", gpu=gpu)


def test_growth_in_a_real_cgroup_is_stopped_before_the_kernel_kills(tmp_path: Path) -> None:
    with memory_cgroup(320 * MIB) as cgroup:
        spec = make_spec(tmp_path, execution=FAST)
        attempt = start_attempt(spec, "grow_memory", tmp_path / "attempt", cgroup=cgroup)
        outcome = finish(attempt, FailureCode.HOST_MEMORY_WATCHDOG)
        assert (cgroup / "cgroup.procs").read_text() == ""
    failure = outcome.failure
    assert failure is not None
    assert outcome.exit_code == 105
    assert str(failure.evidence["source"]).startswith("cgroup")
    assert failure.evidence["limit_bytes"] == 320 * MIB
    assert outcome.peaks["host_memory.held_bytes"] > 0.85 * 320 * MIB
    assert outcome.peaks["host_memory.oom_kills"] == 0
    assert outcome.thresholds["host_memory.abort_ratio"] == 0.92
    assert ("host_memory", "abort") in happened(attempt)


def test_a_worker_the_kernel_killed_ends_the_attempt_that_waits_for_it(tmp_path: Path) -> None:
    with memory_cgroup(256 * MIB) as cgroup:
        spec = make_spec(tmp_path, execution={"host_ram_poll_interval_s": 4.0})
        root = tmp_path / "attempt"
        attempt = start_attempt(spec, "lose_a_worker_to_the_kernel", root, cgroup=cgroup)
        outcome = finish(attempt, FailureCode.HOST_OUT_OF_MEMORY)
    assert outcome.exit_code == 106
    assert outcome.failure is not None
    assert outcome.failure.rule_id == "guard.host_memory.oom_kill"


def test_page_cache_at_a_real_limit_does_not_trip(tmp_path: Path) -> None:
    with memory_cgroup(256 * MIB) as cgroup:
        spec = make_spec(tmp_path, execution=FAST)
        root = tmp_path / "attempt"
        attempt = start_attempt(spec, "stream_through_the_cache", root, cgroup=cgroup)
        outcome = attempt.finish(60)
    assert (outcome.exit_code, outcome.failure) == (0, None)
    peaks = outcome.peaks
    assert peaks["host_memory.limit_hits"] > 0, "the cache must have reached the limit"
    assert peaks["host_memory.used_ratio"] > 0.92, "by the working set it would have tripped"
    assert peaks["host_memory.held_bytes"] < 0.5 * 256 * MIB


def test_a_small_disk_that_fills_up_is_reported_with_what_fills_it(tmp_path: Path) -> None:
    with small_disk(tmp_path, 24) as disk:
        limits = {
            "disk_warn_free_gb": 12 / 1024,
            "disk_abort_free_gb": 8 / 1024,
            "disk_poll_interval_s": 0.2,
        }
        spec = make_spec(tmp_path, execution=limits)
        attempt = start_attempt(spec, "fill_the_disk", disk / "attempt")
        outcome = finish(attempt, FailureCode.DISK_EXHAUSTION)
        report = read_json(attempt.folder.disk_report)
        assert {("disk", "warn"), ("disk", "abort")} <= set(happened(attempt))
    assert outcome.exit_code == 107
    assert outcome.peaks["disk.free_bytes"] <= 8 * MIB
    assert report is not None
    assert report["top_consumers"][0]["path"] == "sorter/temp_wh.dat"
    assert report["suggested_actions"]
    logs = tmp_path / "artifacts" / PREFIX / "failure" / "logs"
    stored = {path.name for path in logs.iterdir()}
    assert {"watchdog_events.jsonl", "trip_snapshot.json", "disk_exhaustion_report.json"} <= stored


def test_a_child_that_waits_for_its_disk_is_an_io_stall(tmp_path: Path) -> None:
    limits = {"io_stall_s": 1.0, "io_stall_poll_interval_s": 0.1}
    attempt = start(tmp_path, "wait_like_for_a_disk", execution=limits)
    outcome = finish(attempt, FailureCode.IO_STALL)
    assert outcome.exit_code == 108
    assert outcome.failure is not None
    assert outcome.failure.evidence["waiting"] == 1
    snapshot = read_json(attempt.folder.trip_snapshot)
    assert snapshot is not None
    assert "disk-sleep" in {process["state"] for process in snapshot["processes"]}


def test_a_child_that_merely_sleeps_is_no_io_stall_but_a_silent_one(tmp_path: Path) -> None:
    limits = {
        "io_stall_s": 0.5,
        "io_stall_poll_interval_s": 0.1,
        "sorter_inactivity_base_s": 2.0,
    }
    attempt = start(tmp_path, "sleep_quietly", execution=limits)
    outcome = finish(attempt, FailureCode.SORTER_TIMEOUT)
    assert outcome.exit_code == 109
    assert outcome.thresholds["log_inactivity.timeout_seconds"] == 2.0


def test_silent_clustering_outlives_the_timeout(tmp_path: Path) -> None:
    limits = {"sorter_inactivity_base_s": 1.0, "io_stall_s": 0.5, "io_stall_poll_interval_s": 0.1}
    attempt = start(tmp_path, "cluster_in_silence", backend="tridesclous2", execution=limits)
    outcome = attempt.finish()
    assert (outcome.exit_code, outcome.failure) == (0, None)
    assert outcome.peaks["log_inactivity.silent_seconds"] > 2.0


def test_a_daemon_that_left_the_session_is_found_and_killed(tmp_path: Path) -> None:
    attempt = start(tmp_path, "leave_a_daemon", execution={"sorter_inactivity_base_s": 1.0})
    finish(attempt, FailureCode.SORTER_TIMEOUT)
    [daemon] = json.loads((attempt.folder.root / "family.json").read_text())
    assert not is_running(daemon)
    signals = [event for event in events(attempt) if event["watchdog"] == "supervisor"]
    assert [event["event"] for event in signals] == ["sigterm", "sigkill"]
    assert daemon in signals[1]["pids"]


def test_a_child_that_ignores_sigterm_after_a_trip_is_killed_with_its_family(
    tmp_path: Path,
) -> None:
    attempt = start(tmp_path, "cling", execution={"sorter_inactivity_base_s": 0.8})
    outcome = finish(attempt, FailureCode.SORTER_TIMEOUT)
    family = json.loads((attempt.folder.root / "family.json").read_text())
    assert [pid for pid in family if is_running(pid)] == []
    assert outcome.wall_s < 15


@pytest.mark.parametrize("behaviour", ["die_by_segfault", "leave_nothing", "die_by_kill"])
def test_a_child_that_ends_by_itself_without_a_result_is_a_crash(
    tmp_path: Path, behaviour: str
) -> None:
    attempt = start(tmp_path, behaviour)
    assert finish(attempt, FailureCode.SORTER_CRASH).exit_code == 110


@pytest.mark.parametrize(
    ("gpu", "code", "exit_code"),
    [
        ({"used": 79 * GIB}, FailureCode.GPU_MEMORY_WATCHDOG, 102),
        ({"celsius": 97}, FailureCode.GPU_THERMAL_WATCHDOG, 103),
        ({"error": 15}, FailureCode.GPU_FAULT, 104),
    ],
)
def test_a_gpu_in_trouble_stops_the_sorter(
    tmp_path: Path, gpu: dict[str, Any], code: FailureCode, exit_code: int
) -> None:
    attempt = start(tmp_path, "chatter", gpu=gpu, execution=GPU_ONLY)
    outcome = finish(attempt, code)
    assert outcome.exit_code == exit_code
    assert outcome.failure is not None
    assert UUID in json.dumps(dict(outcome.failure.evidence)) or gpu.get("error")


def test_without_a_driver_the_gpu_guard_advises_and_a_series_says_so(tmp_path: Path) -> None:
    attempt = start(tmp_path, "chatter", gpu={}, execution=GPU_ONLY)
    attempt.child_pid()
    wait_for(
        lambda: "gpu_memory" in (read_json(attempt.folder.heartbeat) or {}).get("readings", {})
    )
    if (read_json(attempt.folder.heartbeat) or {})["readings"]["gpu_memory"]:
        attempt.process.terminate()
        attempt.finish()
        pytest.skip("this machine has a GPU: its driver answers")
    wait_for(lambda: series(attempt, "spikefleet_guard_advisory"))  # follows the heartbeat
    [advisory] = series(attempt, "spikefleet_guard_advisory")
    assert 'guard="gpu_memory"' in advisory
    assert "NVML" in advisory
    readable = series(attempt, "spikefleet_guard_readable")
    assert any('guard="gpu_memory"' in line and line.endswith(" 0.0") for line in readable)
    attempt.process.terminate()
    finish(attempt, FailureCode.ATTEMPT_INTERRUPTED)
    assert ("gpu_memory", "blind") in happened(attempt)
