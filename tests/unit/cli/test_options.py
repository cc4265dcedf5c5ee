"""Options shared by the commands."""

from importlib import import_module
from pathlib import Path

import click
import pytest

from spikefleet.cli.options import needs_extra, parse_overrides, settings_from


def test_values_that_are_json_are_taken_as_such() -> None:
    given = ["snr_min=5.5", "curate=false", "freq_min=null", "label=control", 'ks={"nblocks": 0}']
    assert parse_overrides(given) == {
        "snr_min": 5.5,
        "curate": False,
        "freq_min": None,
        "label": "control",
        "ks": {"nblocks": 0},
    }


def test_only_the_first_equals_sign_divides() -> None:
    assert parse_overrides(["note=a=b"]) == {"note": "a=b"}


@pytest.mark.parametrize("pair", ["snr_min", "=5", " =5"])
def test_an_override_without_name_or_value_is_wrong_usage(pair: str) -> None:
    with pytest.raises(click.UsageError, match="name=value"):
        parse_overrides([pair])


def test_a_bad_setting_is_wrong_usage_and_names_it() -> None:
    with pytest.raises(click.UsageError, match="cpu_slots"):
        settings_from(cpu_slots=-1)


def test_an_option_that_was_not_given_leaves_the_default() -> None:
    assert settings_from(address=None).address == settings_from().address


def test_a_rig_without_an_extra_is_told_how_to_get_it() -> None:
    told = r"pip install 'spikefleet\[science\]'"
    with pytest.raises(click.UsageError, match=told), needs_extra("science"):
        import_module("a_library_that_is_not_here")


def test_a_missing_module_of_our_own_is_no_matter_of_installation() -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra("science"):
        import_module("spikefleet.no_such_module")


def test_a_bad_address_is_told_in_our_own_words() -> None:
    with pytest.raises(click.UsageError) as caught:
        settings_from(address="nonsense")
    assert str(caught.value.message).startswith("address: an address is HOST:PORT")


def test_brackets_without_end_are_wrong_usage() -> None:
    with pytest.raises(click.UsageError, match="sorter_params"):
        parse_overrides(["sorter_params=" + "[" * 100_000])


def test_a_bad_setting_is_told_in_plain_words_with_where_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spikefleet" / "config.toml"
    file.parent.mkdir()
    file.write_text('cpu_slots = "many"')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(click.UsageError) as caught:
        settings_from()
    assert caught.value.message == f"{file}: cpu_slots: must be a valid integer (got 'many')"
    gone = tmp_path / "gone"
    with pytest.raises(click.UsageError) as caught:
        settings_from(cpu_slots=1, recording_root=(gone,))
    assert caught.value.message == f"recording_root: there is no folder at {gone} (got {gone})"
