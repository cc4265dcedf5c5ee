"""doctor: what it finds on this machine, and what it says when a machine is not fit."""

import json
import resource
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from tests.support.serving import serving

from spikefleet.cli.doctor import Diagnosis, examine
from spikefleet.cli.main import cli
from spikefleet.core.sorters.catalogue import BACKENDS, backend_of
from spikefleet.deploy.settings import Settings
from spikefleet.runner.node_checks.checks import NODE_CHECKS
from spikefleet.runner.node_checks.facts import Given, Wanted, gather_facts


def test_a_fit_machine_ends_0_and_names_every_sorter(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["doctor", "--data", str(tmp_path), "--output", "json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0, found
    assert found["healthy"] is True
    assert set(BACKENDS) <= {check["name"] for check in found["checks"]}


def test_a_data_folder_that_is_a_file_is_fatal_and_has_a_next_step(tmp_path: Path) -> None:
    occupied = tmp_path / "data"
    occupied.write_text("not a folder")
    (disk,) = [
        check for check in examine(Settings(data_dir=occupied / "store")) if check.name == "disk"
    ]
    assert disk.level == "fail"
    assert "--data" in disk.next_step


def test_an_unfit_machine_ends_1(tmp_path: Path) -> None:
    occupied = tmp_path / "data"
    occupied.write_text("not a folder")
    done = CliRunner().invoke(cli, ["doctor", "--data", str(occupied / "store")])
    assert done.exit_code == 1
    assert "fail" in done.stdout


def test_an_empty_plugin_folder_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    (plugin,) = [c for c in examine(Settings(data_dir=tmp_path)) if c.name == "hdf5 plugin"]
    assert plugin.level == "warn"
    assert plugin.next_step


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    list(examine(Settings(data_dir=tmp_path / "not-there")))
    assert list(tmp_path.iterdir()) == []


def test_every_problem_has_a_next_step(tmp_path: Path) -> None:
    checks = list(examine(Settings(data_dir=tmp_path)))
    assert checks
    for check in checks:
        assert (check.level == "ok") == (check.next_step == ""), check


def test_doctor_says_what_an_attempt_would_find_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, soft[1]))
    try:
        found = {check.name: check for check in examine(Settings(data_dir=tmp_path))}
        facts = gather_facts(Wanted(backend_of("lupin")), tmp_path, Given())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, soft)
    (told,) = [f for f in NODE_CHECKS.run(facts) if f.code == "low_rlimit_nofile"]
    assert (found["limits"].level, found["limits"].value) == ("warn", told.message)
    assert found["limits"].next_step == told.remediation


def test_a_machine_that_only_submits_is_told_what_sorting_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spikefleet.runner.node_checks.checks", None)
    (sorting,) = [c for c in examine(Settings(data_dir=tmp_path)) if c.name == "sorting"]
    assert sorting.level == "warn"
    assert "spikefleet[embedded]" in sorting.next_step


def the_service(address: str, tmp_path: Path) -> Diagnosis:
    settings = Settings(address=address, data_dir=tmp_path)
    (found,) = [check for check in examine(settings) if check.name == "service"]
    return found


def test_where_no_service_answers_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    found = the_service("127.0.0.1:1", tmp_path)
    assert (found.level, found.value) == ("warn", "none answers at 127.0.0.1:1")
    assert "spikefleet serve" in found.next_step


def test_what_answers_but_is_no_spikefleet_is_told_apart(tmp_path: Path) -> None:
    with serving(lambda _: []) as server:
        found = the_service(server.address, tmp_path)
    assert (found.level, "is not spikefleet" in found.value) == ("warn", True)


def test_no_hold_is_to_be_released_on_a_machine_that_was_only_looked_at(tmp_path: Path) -> None:
    occupied = tmp_path / "data"
    occupied.write_text("not a folder")
    for found in examine(Settings(data_dir=occupied / "store")):
        assert "release the hold" not in found.next_step


@pytest.mark.parametrize("free_gib", [2, 2000])
def test_a_data_folder_that_is_not_there_yet_is_told_so(
    free_gib: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk(folder: Path) -> str:
        return next(c.value for c in examine(Settings(data_dir=folder)) if c.name == "disk")

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_gib * 2**30))
    assert f"{tmp_path}/new, which does not exist yet" in disk(tmp_path / "new")
    assert f"B free for {tmp_path}" in disk(tmp_path)
    assert "exist" not in disk(tmp_path)


def test_doctor_looks_for_the_service_at_the_address_given(tmp_path: Path) -> None:
    asked = ["doctor", "--data", str(tmp_path), "--address", "127.0.0.1:1", "--output", "json"]
    checks = json.loads(CliRunner().invoke(cli, asked).stdout)["checks"]
    assert "none answers at 127.0.0.1:1" in [check["value"] for check in checks]
