"""A rig reaches the service through a gateway that speaks TLS, or is told what is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.certificates import Authority, TlsGateway
from tests.support.facility import Facility
from tests.support.intake import NAME
from tests.support.serving import Serving, serving, write_bytes_file

from spikefleet.cli.main import cli
from spikefleet.client.sorting import SortingClient
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(tmp_path) -> Iterator[Serving]:
    (tmp_path / "facility").mkdir()
    with serving(Facility(tmp_path / "facility").rooms) as running:
        yield running


@pytest.fixture
def gateway(authority, server) -> Iterator[TlsGateway]:
    made = TlsGateway(authority.context("DNS:localhost", "IP:127.0.0.1"), server.port)
    yield made
    made.close()


def refused(address: str, ca_file: Path | None) -> ServiceError:
    with (
        SortingClient(address, patience_s=0.0, ca_file=ca_file) as client,
        pytest.raises(ServiceError) as told,
    ):
        client.list()
    assert not isinstance(told.value, ServiceUnreachable)  # nobody waits for it to change
    return told.value


def test_a_recording_goes_through_a_gateway_that_speaks_tls(authority, gateway, tmp_path):
    path = write_bytes_file(tmp_path / "night.bin", 3 << 20)
    address = f"https://127.0.0.1:{gateway.port}"
    with SortingClient(address, ca_file=authority.certificate) as client:
        recording = client.add_recording(path, name=NAME, in_place=False)
        assert [file.size_bytes for file in recording.files] == [3 << 20]
        assert client.list().runs == ()


def test_a_certificate_of_an_unknown_authority_is_not_trusted(gateway, tmp_path):
    other = Authority(tmp_path / "other")
    for ca_file in (None, other.certificate):
        error = refused(f"https://127.0.0.1:{gateway.port}", ca_file)
        assert error.reason == "CERTIFICATE_NOT_TRUSTED"
        assert "--ca-file" in error.next_step


def test_a_certificate_of_another_host_is_told_as_one(authority, server):
    gateway = TlsGateway(authority.context("DNS:elsewhere.example"), server.port)
    error = refused(f"https://127.0.0.1:{gateway.port}", authority.certificate)
    assert error.reason == "CERTIFICATE_OF_ANOTHER_HOST"
    assert "name that is in the certificate" in error.next_step
    gateway.close()


def test_a_service_without_tls_is_told_as_one(authority, server):
    error = refused(f"https://127.0.0.1:{server.port}", authority.certificate)
    assert error.reason == "NO_TLS_THERE"


def test_a_gateway_that_is_spoken_to_without_tls_is_guessed(gateway):
    with (
        SortingClient(f"http://127.0.0.1:{gateway.port}", patience_s=0.0) as client,
        pytest.raises(ServiceUnreachable) as told,
    ):
        client.list()
    assert "https://" in told.value.next_step


def test_the_command_line_takes_the_authority_from_option_variable_and_file(
    authority, gateway, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    address = f"https://127.0.0.1:{gateway.port}"
    asked = ["list", "--address", address]
    told = CliRunner().invoke(cli, asked)
    assert told.exit_code == 3
    assert "is not trusted here" in " ".join(told.output.split())
    given = CliRunner().invoke(cli, [*asked, "--ca-file", str(authority.certificate)])
    assert given.exit_code == 0, given.output
    with monkeypatch.context() as patch:
        patch.setenv("SPIKEFLEET_CA_FILE", str(authority.certificate))
        assert CliRunner().invoke(cli, asked).exit_code == 0
    (tmp_path / "spikefleet").mkdir()
    (tmp_path / "spikefleet" / "config.toml").write_text(
        f'address = "{address}"\nca-file = "{authority.certificate}"\n'
    )
    assert CliRunner().invoke(cli, ["list"]).exit_code == 0


def test_a_terminal_shows_our_words_and_none_of_the_network_library(gateway):
    address = f"https://127.0.0.1:{gateway.port}"
    done = subprocess.run(
        [sys.executable, "-m", "spikefleet.cli.main", "list", "--address", address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "is not trusted here" in " ".join(done.stderr.split())
    assert "ssl_transport_security" not in done.stderr
    assert "OPENSSL" not in done.stderr


def test_a_file_that_holds_no_certificate_is_wrong_usage(gateway, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    told = CliRunner().invoke(
        cli,
        [
            *("list", "--address", f"https://127.0.0.1:{gateway.port}"),
            *("--ca-file", str(tmp_path / "ca.pem")),
        ],
    )
    assert told.exit_code == 2
    assert "no certificates in PEM form" in " ".join(told.output.split())
