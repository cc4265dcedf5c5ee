"""Settings come from arguments, then the environment, then defaults; a typo is an error."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from spikefleet.deploy.attempt_secret import read_attempt_secret
from spikefleet.deploy.config_file import SubmitDefaults, config_file
from spikefleet.deploy.settings import (
    DEFAULT_ADDRESS,
    Settings,
    base_environment,
    has_screen,
    image_digest,
    load_settings,
    submit_defaults,
    visible_gpus,
)


def test_defaults_hold_without_an_environment():
    settings = load_settings({})
    assert settings.address == DEFAULT_ADDRESS
    assert settings.resolved_database_url.startswith("sqlite:///")
    assert settings.resolved_database_url.endswith("spikefleet.db")


def test_the_environment_is_read_under_its_prefix():
    settings = load_settings({"SPIKEFLEET_CPU_SLOTS": "3", "HOME": "/nowhere"})
    assert settings.cpu_slots == 3


def test_an_argument_wins_over_the_environment_and_none_means_not_given(tmp_path: Path):
    environment = {"SPIKEFLEET_CPU_SLOTS": "3", "SPIKEFLEET_METRICS_PORT": "9100"}
    settings = load_settings(environment, cpu_slots=5, metrics_port=None, data_dir=tmp_path)
    assert (settings.cpu_slots, settings.metrics_port) == (5, 9100)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "rig-3:7311", "[::1]:7311", "a.b.c:65535"])
def test_an_address_is_a_host_and_a_port(address: str):
    assert load_settings({}, address=address).address == address


@pytest.mark.parametrize(
    "address", ["nonsense", "host:", ":7311", "host:99999", "grpc://x:1", ":::", "host:-1", ""]
)
def test_what_is_no_address_is_refused_with_an_example(address: str):
    with pytest.raises(ValidationError, match=r"HOST:PORT, for example"):
        load_settings({}, address=address)


def test_an_unknown_variable_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match=r"SPIKEFLEET_CPU_SLOT is not .*SPIKEFLEET_CPU_SLOTS"):
        load_settings({"SPIKEFLEET_CPU_SLOT": "3"})


@pytest.mark.parametrize(
    ("name", "value"), [("cpu_slots", -1), ("metrics_port", 70000), ("log_format", "xml")]
)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        load_settings({}, **{name: value})


def test_another_database_is_only_another_url():
    url = "postgresql://lab@db/spikefleet"
    assert load_settings({}, database_url=url).resolved_database_url == url


@pytest.mark.parametrize("url", ["garbage", "mysql://lab@db/spikefleet", "/data/state.db"])
def test_what_is_no_database_of_ours_is_refused_with_an_example(url: str):
    with pytest.raises(ValidationError, match=r"sqlite:////path"):
        load_settings({}, database_url=url)


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("all",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        (
            {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2", "NVIDIA_VISIBLE_DEVICES": "all"},
            ("GPU-1", "GPU-2"),
        ),
        ({"NVIDIA_VISIBLE_DEVICES": "MIG-7"}, ("MIG-7",)),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, ("void",)),
    ],
)
def test_the_gpus_given_are_those_cuda_shows_else_the_containers(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: tuple[str, ...]
):
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert visible_gpus() == expected


def test_a_secret_is_read_from_a_pipe_and_from_nothing_else(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"told\nand more")
    assert read_attempt_secret(reading) == "told"
    os.close(writing)
    assert os.read(reading, 100) == b"and more"
    assert read_attempt_secret(reading) == ""
    os.close(reading)
    (tmp_path / "file").write_text("no secret\n")
    with (tmp_path / "file").open() as handle:
        assert read_attempt_secret(handle.fileno()) == ""


def test_the_image_is_known_to_the_service_and_to_the_attempts_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert image_digest() == ""
    monkeypatch.setenv("SPIKEFLEET_IMAGE_DIGEST", " sha256:a ")
    monkeypatch.setenv("SPIKEFLEET_ADDRESS", "127.0.0.1:1")
    assert image_digest() == "sha256:a"
    assert load_settings().image_digest == " sha256:a "
    handed_on = {name for name in base_environment() if name.startswith("SPIKEFLEET_")}
    assert handed_on == {"SPIKEFLEET_IMAGE_DIGEST"}


def test_roots_of_recordings_are_folders_there_are_and_come_resolved(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    told = f"{tmp_path / 'a'}:{tmp_path / 'link'}"
    roots = load_settings({"SPIKEFLEET_RECORDING_ROOT": told}).recording_root
    assert roots == ((tmp_path / "a").resolve(),) * 2
    with pytest.raises(ValidationError, match="there is no folder at"):
        load_settings({}, recording_root=(tmp_path / "absent",))
    assert load_settings({}).recording_root == ()


def with_file(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment whose user has this configuration file."""
    path = tmp_path / "spikefleet" / "config.toml"
    path.parent.mkdir()
    path.write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_the_users_file_stands_between_environment_and_default(tmp_path: Path):
    environment = with_file(tmp_path, 'address = "rig:1"\ncpu_slots = 2\nlog_format = "json"')
    environment["SPIKEFLEET_CPU_SLOTS"] = "3"
    settings = load_settings(environment, log_format="text")
    assert (settings.address, settings.cpu_slots, settings.log_format) == ("rig:1", 3, "text")
    assert settings.metrics_port == load_settings({}).metrics_port


def test_the_file_lies_in_the_users_configuration_folder():
    assert config_file({"HOME": "/home/a"}) == Path("/home/a/.config/spikefleet/config.toml")
    assert config_file({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/spikefleet/config.toml")
    assert config_file({}) is None


def test_the_file_may_say_what_submit_takes(tmp_path: Path):
    environment = with_file(tmp_path, '[submit]\nsorter = "lupin"\nproject = "organoids"')
    assert submit_defaults(environment) == SubmitDefaults("lupin", "", "organoids")
    assert submit_defaults({}) == SubmitDefaults()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("adress = 'rig:1'", r"adress is unknown; did you mean address\? known: address"),
        ("[submit]\nsroter = 'lupin'", r"submit\.sroter is unknown; did you mean sorter\?"),
        ("submit = 3", "submit is a table"),
        ("address = ", "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_an_error_that_names_it(tmp_path: Path, text: str, told: str):
    with pytest.raises(ValueError, match=rf"config\.toml.*{told}"):
        load_settings(with_file(tmp_path, text))


def test_a_screen_is_where_the_environment_names_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_screen()


def test_the_file_takes_the_names_of_the_options_too(tmp_path: Path):
    settings = load_settings(with_file(tmp_path, 'data = "/d"\ncpu-slots = 2'))
    assert (settings.data_dir, settings.cpu_slots) == (Path("/d"), 2)
