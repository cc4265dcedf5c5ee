"""From a configuration to guards."""

from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.guards.base import Guard
from spikefleet.runner.guards.make import Watched, make_guards, make_memory_reader


def guards_of(spec: AttemptSpec, folder: Path) -> list[Guard]:
    return make_guards(spec, Watched(RunFolder(folder), make_memory_reader(spec)))


def names(tmp_path: Path, *, gpu: bool = False, **execution: object) -> list[str]:
    spec = make_spec(tmp_path, gpu=gpu, execution=execution)
    return [guard.name for guard in guards_of(spec, tmp_path)]


def test_all_guards_are_on_unless_switched_off(tmp_path: Path) -> None:
    on_cpu = ["host_memory", "disk", "log_inactivity", "io_stall", "usage"]
    assert names(tmp_path) == on_cpu
    assert names(tmp_path, gpu=True) == [on_cpu[0], "gpu_memory", *on_cpu[1:]]
    off = {
        "host_ram_watchdog": False,
        "gpu_watchdog": False,
        "disk_watchdog": False,
        "sorter_inactivity_timeout": False,
        "io_stall_watchdog": False,
    }
    assert names(tmp_path, gpu=True, **off) == ["usage"]


def test_a_longer_recording_is_given_more_silence(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, duration_s=1800.0)
    silence = next(g for g in guards_of(spec, tmp_path) if g.name == "log_inactivity")
    assert silence.thresholds["timeout_seconds"] == 1500.0


def test_impossible_thresholds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError, match="host_ram_warn_pct"):
        names(tmp_path, host_ram_warn_pct=99.0)
    with pytest.raises(InvalidConfigurationError, match="gpu_warn_pct"):
        names(tmp_path, gpu=True, gpu_warn_pct=96.0)
    with pytest.raises(InvalidConfigurationError, match="io_stall_s"):
        names(tmp_path, io_stall_s=0.0)


def test_the_disk_guard_is_given_what_preflight_projected(tmp_path: Path) -> None:
    projected = {"estimate": {"scratch_bytes": 3 * 2**30}}
    spec = make_spec(
        tmp_path,
        preflight=projected,
        execution={"disk_warn_free_gb": 9e9, "disk_abort_free_gb": 8e9},
    )
    guard = next(guard for guard in guards_of(spec, tmp_path) if guard.name == "disk")
    trip = next(trip for now_s in range(5) if (trip := guard.read(float(now_s)).trip))
    assert trip.evidence["projected_need_gb"] == 3.0
    assert trip.evidence["report"]["projected_need_gb"] == 3.0  # type: ignore[index, call-overload]
