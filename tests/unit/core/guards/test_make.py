"""From a configuration to guards."""

from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import RunFolder
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.guards.make import GuardSettings, make_guards, make_memory_reader


def names(tmp_path: Path, **execution: object) -> list[str]:
    spec = make_spec(tmp_path, execution=execution)
    memory = make_memory_reader(spec)
    return [guard.name for guard in make_guards(spec, RunFolder(tmp_path), memory=memory)]


def test_all_guards_are_on_unless_switched_off(tmp_path: Path) -> None:
    assert names(tmp_path) == ["host_memory", "disk", "log_inactivity"]
    off = {"host_ram_watchdog": False, "disk_watchdog": False, "sorter_inactivity_timeout": False}
    assert names(tmp_path, **off) == []


def test_a_longer_recording_is_given_more_silence(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, duration_s=1800.0)
    guards = make_guards(spec, RunFolder(tmp_path), memory=make_memory_reader(spec))
    assert guards[-1].read(0.0).values["timeout_seconds"] == 1500.0


def test_impossible_thresholds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="warn"):
        names(tmp_path, host_ram_warn_pct=99.0)


def test_defaults_are_those_of_the_configuration() -> None:
    resolved = SortingConfig().model_dump()
    assert GuardSettings.from_config(resolved) == GuardSettings()
    assert set(vars(GuardSettings())) <= set(resolved["execution"])
