"""An S3 store whose connections break and whose server is killed: whole or nothing, always."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.cut_proxy import CutProxy
from tests.support.s3_servers import S3Server

from spikefleet.core.failures.errors import InvalidConfigurationError, StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts import ArtifactDamagedError
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.infra.stores.bytes.s3 import ranges
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.bytes.s3.bucket import PART_BYTES
from spikefleet.infra.stores.bytes.s3.credentials import S3Credentials

pytestmark = pytest.mark.slow
LONG = hashlib.shake_256(b"long").digest(PART_BYTES + 300_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server("swift", tmp_path_factory.mktemp("s3") / "swift")
    server.start()
    yield server
    server.end()


@pytest.fixture
def proxy(server: S3Server) -> Iterator[CutProxy]:
    proxy = CutProxy(int(server.endpoint.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def store(server: S3Server, proxy: CutProxy) -> S3Artifacts:
    place = replace(server.make_bucket(), endpoint=f"http://127.0.0.1:{proxy.port}")
    return server.open(place)


def test_a_write_survives_connections_that_break_at_any_byte(
    store: S3Artifacts, proxy: CutProxy
) -> None:
    for n, cut in enumerate((0, 1, 100, 500, 900, 1_000, 5_000, 20_000, 40_000)):
        proxy.cuts = [cut, cut, None]
        proxy.hang_up()
        data = hashlib.shake_256(bytes([n])).digest(30_000)
        stored = store.put_bytes(f"cut/{n}", data)
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
        assert store.get_bytes(f"cut/{n}") == data
    assert len(store.list_keys("cut")) == 9


def test_a_read_goes_on_where_its_connection_broke(store: S3Artifacts, proxy: CutProxy) -> None:
    data = LONG[:3_000_000]
    store.put_bytes("a/x", data)
    proxy.hang_up()
    proxy.cuts = [1_000_000, 700_000, 100, None]
    assert store.get_bytes("a/x") == data
    assert proxy.cuts == []


def test_ranges_that_break_go_on_and_the_fetched_file_is_whole(
    store: S3Artifacts, proxy: CutProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_BYTES", 3_000_000)
    (tmp_path / "long.bin").write_bytes(LONG)
    store.put_file("a/long.bin", tmp_path / "long.bin")
    proxy.hang_up()
    proxy.cuts = [None, 1_000_000, 700_000, None, 2_000_000]
    store.fetch("a/long.bin", tmp_path / "fetched.bin")
    assert (tmp_path / "fetched.bin").read_bytes() == LONG
    assert proxy.cuts == []


def test_a_fetched_object_that_is_not_what_was_written_is_refused(
    store: S3Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_BYTES", 10_000)
    told = hashlib.sha256(LONG[:30_000]).hexdigest()
    store.bucket.put("a/other", LONG[1:30_001], sha256=told)
    with pytest.raises(ArtifactDamagedError, match="not the bytes"):
        store.fetch("a/other", tmp_path / "other.bin")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_break_are_sent_again_and_the_file_is_whole(
    store: S3Artifacts, proxy: CutProxy, tmp_path: Path
) -> None:
    (tmp_path / "long.bin").write_bytes(LONG)
    proxy.hang_up()
    proxy.cuts = [None, 9_000_000, None, 200_000]
    store.put_file("a/long.bin", tmp_path / "long.bin")
    assert store.get_bytes("a/long.bin") == LONG
    assert store.bucket.list_uploads() == []


def test_a_killed_server_is_named_and_what_it_acknowledged_is_there_afterwards(
    tmp_path: Path,
) -> None:
    server = S3Server("swift", tmp_path / "swift")
    server.start()
    try:
        store = server.open(server.make_bucket())
        store.put_bytes("a/x", b"kept")
        server.end("kill")
        with pytest.raises(StorageUnavailableError, match="bucket"):
            store.put_bytes("a/y", b"lost")
        with pytest.raises(StorageUnavailableError, match="bucket"):
            store.get_bytes("a/x")
        server.start()
        assert store.get_bytes("a/x") == b"kept"
        assert store.size("a/y") is None
        store.put_bytes("a/y", b"again")
    finally:
        server.end()


def test_what_does_not_open_a_bucket_is_told_in_words(server: S3Server, tmp_path: Path) -> None:
    place = server.make_bucket()
    with pytest.raises(StorageUnavailableError, match=r"SignatureDoesNotMatch|AccessDenied"):
        S3Artifacts(place, S3Credentials(server.credentials.access_key, "wrong"))
    with pytest.raises(StorageUnavailableError, match="no such bucket"):
        server.open(replace(place, bucket="nowhere-at-all"))
    url = f"s3://{place.bucket}?endpoint={server.endpoint}"
    with pytest.raises(InvalidConfigurationError, match="SPIKEFLEET_S3_CREDENTIALS"):
        open_artifacts(url)
    with pytest.raises(InvalidConfigurationError, match="access-key"):
        open_artifacts(url, tmp_path)
    credentials = server.write_credentials(tmp_path / "secret")
    for wrong in (f"s3://{place.bucket}", f"{url}&colour=blue", "s3://?endpoint=http://x"):
        with pytest.raises(InvalidConfigurationError, match="s3://BUCKET"):
            open_artifacts(wrong, credentials)
