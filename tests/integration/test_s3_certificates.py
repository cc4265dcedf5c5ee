"""A bucket behind a certificate of a private authority: trusted where that is said."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import Authority, TlsGateway
from tests.support.s3_servers import S3Server

from spikefleet.core.failures.errors import InvalidConfigurationError, StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server("swift", tmp_path / "swift")
    server.start()
    yield server
    server.end()


def test_the_authority_beside_the_keys_is_trusted_and_no_other(
    server: S3Server, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    to_port = int(server.endpoint.rpartition(":")[2])
    gateway = TlsGateway(authority.context("DNS:localhost", "IP:127.0.0.1"), to_port)
    url = f"s3://{server.make_bucket().bucket}?endpoint=https://127.0.0.1:{gateway.port}"
    folder = server.write_credentials(tmp_path / "secret")
    with pytest.raises(StorageUnavailableError, match="certificate is not trusted"):
        open_artifacts(url, folder)
    shutil.copy(other.certificate, folder / "ca.crt")
    with pytest.raises(StorageUnavailableError, match="certificate is not trusted"):
        open_artifacts(url, folder)
    shutil.copy(authority.certificate, folder / "ca.crt")
    store = open_artifacts(url, folder)
    store.put_bytes("a/x", b"kept")
    assert store.get_bytes("a/x") == b"kept"
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(InvalidConfigurationError, match=r"ca\.crt"):
        open_artifacts(url, folder)
    gateway.close()


@pytest.mark.parametrize(
    "url",
    [
        "gs://ann:s3cret@bucket",
        "s3://bucket?endpoint=https://ann:s3cret@host",
        "s3://bucket?endpoint=https://host&secret-key=s3cret",
        "s3://ann:s3cret@bucket/prefix",
    ],
)
def test_a_refused_address_shows_no_password(url: str, tmp_path: Path) -> None:
    (tmp_path / "access-key").write_text("a")
    (tmp_path / "secret-key").write_text("b")
    with pytest.raises((ValueError, InvalidConfigurationError)) as told:
        open_artifacts(url, tmp_path)
    error = told.value
    assert "s3cret" not in f"{error} {getattr(error, 'evidence', '')}"
