"""What can be asked for, told by the command line."""

import json

import pytest
from click.testing import CliRunner

from spikefleet.cli.main import cli
from spikefleet.core.config.presets import preset_names
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.parameters import read_table


def said(*arguments: str) -> str:
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_sorter_is_listed_with_how_to_get_it() -> None:
    rows = json.loads(said("sorters", "--output", "json"))["sorters"]
    assert [row["name"] for row in rows] == list(BACKENDS)
    assert all(row["install"].startswith("pip install 'spikefleet[") for row in rows)
    assert "Next: spikefleet submit RECORDING --sorter" in said("sorters")


def test_without_a_service_the_list_says_that_it_is_not_known_what_is_offered() -> None:
    nobody = ("--address", "127.0.0.1:9")
    document = json.loads(said("sorters", *nobody, "--output", "json"))
    assert {row["offered"] for row in document["sorters"]} == {None}
    assert "No service answers at 127.0.0.1:9" in said("sorters", *nobody)


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_sorter_lists_its_own_parameters(name: str) -> None:
    rows = json.loads(said("sorters", name, "--output", "json"))["parameters"]
    table = read_table(name)
    assert table
    assert {row["name"] for row in rows} == {f"sorter_params.{entry}" for entry in table}
    assert all(row["must_be"] for row in rows)
    assert f"--sorter {name} --set sorter_params." in said("sorters", name)


def test_every_preset_is_listed_and_those_refused_are_marked() -> None:
    rows = json.loads(said("presets", "--output", "json"))["presets"]
    assert sorted(row["name"] for row in rows) == sorted(preset_names())
    refused = {row["name"] for row in rows if not row["can_run"]}
    assert {"kilosort2", "kilosort4_docker"} <= refused
    assert "rt_sort_mea" not in refused
    assert not refused & set(BACKENDS)


def test_a_preset_lists_the_settings_it_begins_with() -> None:
    document = json.loads(said("presets", "lupin", "--output", "json"))
    assert document["settings"]["sorter"]["sorter_name"] == "lupin"


def test_a_setting_is_found_by_its_name_before_its_meaning() -> None:
    rows = json.loads(said("settings", "snr", "--output", "json"))["settings"]
    assert rows[0]["name"] == "curation.snr_min"
    assert not rows[0]["sorts_again"]
    assert "--set snr_min=5.0" in said("settings", "snr")


def test_settings_without_effect_are_listed_only_when_asked_for() -> None:
    few = json.loads(said("settings", "--output", "json"))["settings"]
    everything = json.loads(said("settings", "--all", "--output", "json"))["settings"]
    assert all(row["in_effect"] for row in few)
    assert len(few) < len(everything)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sorters", "kilosort5"], "did you mean 'kilosort4'"),
        (["settings", "first_n_min_"], "did you mean 'first_n_mins'"),
        (["settings", "zzz"], "spikefleet settings"),
        (["presets", "lupn"], "did you mean 'lupin'"),
        (["statu"], "did you mean 'status'"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(
    arguments: list[str], told: str
) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_preset_says_what_it_leaves_out_and_advises_only_what_can_run() -> None:
    assert "settings that have no effect yet are left out" in said("presets", "lupin")
    assert "Next: spikefleet submit RECORDING --preset lupin" in said("presets", "lupin")
    assert "submit" not in said("presets", "kilosort2")
