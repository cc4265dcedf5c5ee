"""The S3 store held to the contract of every store, on two servers that differ in strictness."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import urllib3
from tests.contracts.artifact_store import ArtifactStoreContract, put_quietly
from tests.support.s3_servers import ENGINES, S3Server

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMissingError,
)
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.bytes.s3.bucket import PART_BYTES, S3Place
from spikefleet.infra.stores.bytes.s3.claims import FOLDER
from spikefleet.infra.stores.bytes.s3.credentials import S3Credentials

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session", params=ENGINES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    server = S3Server(request.param, tmp_path_factory.mktemp("s3") / request.param)
    server.start()
    yield server
    server.end()


@pytest.fixture
def place(server: S3Server) -> S3Place:
    return server.make_bucket()


class TestS3Artifacts(ArtifactStoreContract):
    @pytest.fixture
    def store(self, server: S3Server, place: S3Place) -> S3Artifacts:
        return server.open(place)

    @pytest.fixture
    def damage(self, store: S3Artifacts) -> Callable[[str, bytes], None]:
        def change(key: str, data: bytes) -> None:
            store.bucket.put(key, data)

        return change

    @pytest.fixture
    def long_file(self, tmp_path: Path) -> Path:
        path = tmp_path / "long.bin"
        path.write_bytes(bytes(range(256)) * ((2 * PART_BYTES) // 256) + b"tail")
        return path

    def test_of_writers_in_several_processes_exactly_one_wins(
        self, server: S3Server, place: S3Place, store: S3Artifacts
    ) -> None:
        stores = [server.open(place) for _ in range(4)]
        payloads = [bytes([n]) * 1000 for n in range(len(stores))]
        for attempt in range(3):
            key = f"race/{attempt}"
            with ThreadPoolExecutor(len(stores)) as pool:
                won = list(pool.map(put_quietly, stores, [key] * len(stores), payloads))
            assert won.count(True) == 1
            assert store.get_bytes(key) == payloads[won.index(True)]
        assert list(store.bucket.list_below(FOLDER)) == []

    def test_a_claim_that_a_dead_writer_left_is_waited_for_and_then_ignored(
        self, store: S3Artifacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("spikefleet.infra.stores.bytes.s3.claims.STALE_S", 3.0)
        store.put_bytes("a/x", b"1")
        left = [key for key, _ in store.bucket.list_below("")]
        assert left == ["a/x"]
        store.bucket.put(_claim_of("a/y"), b"")
        store.put_bytes("a/y", b"2")
        assert store.get_bytes("a/y") == b"2"

    def test_a_long_file_is_stored_in_parts_and_comes_back(
        self, store: S3Artifacts, long_file: Path, tmp_path: Path
    ) -> None:
        stored = store.put_file("a/long.bin", long_file)
        assert store.put_file("a/long.bin", long_file) == stored
        store.fetch("a/long.bin", tmp_path / "copy.bin")
        assert (tmp_path / "copy.bin").read_bytes() == long_file.read_bytes()
        assert b"".join(store.read_chunks("a/long.bin", offset=2 * PART_BYTES)) == b"tail"
        assert store.bucket.list_uploads() == []

    def test_a_long_file_that_is_not_what_it_was_is_not_stored(
        self, store: S3Artifacts, long_file: Path
    ) -> None:
        digest = sha256(long_file.read_bytes()).hexdigest()
        with pytest.raises(ArtifactDamagedError):
            store.put_file("a/long.bin", long_file, sha256="0" * 64)
        assert store.size("a/long.bin") is None
        assert store.bucket.list_uploads() == []
        stored = store.put_file("a/long.bin", long_file, sha256=digest)
        assert (stored.size_bytes, stored.sha256) == (long_file.stat().st_size, digest)
        assert store.put_file("a/long.bin", long_file) == stored

    def test_bytes_that_change_on_their_way_are_refused_by_the_server(
        self, store: S3Artifacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = urllib3.PoolManager.urlopen

        def flipped(self, method, url, **how):
            if method == "PUT" and how.get("body"):
                how["body"] = bytes([how["body"][0] ^ 1]) + how["body"][1:]
            return send(self, method, url, **how)

        upload_id = store.bucket.begin("u/x")
        with monkeypatch.context() as patch:
            patch.setattr(urllib3.PoolManager, "urlopen", flipped)
            with pytest.raises(StorageUnavailableError):
                store.bucket.put_part("u/x", upload_id, 1, b"spikes")
            with pytest.raises(StorageUnavailableError):
                store.put_bytes("a/x", b"spikes")
        assert store.bucket.list_parts("u/x", upload_id) == []
        assert store.size("a/x") is None

    def test_another_long_file_under_the_same_key_is_refused(
        self, store: S3Artifacts, long_file: Path
    ) -> None:
        stored = store.put_file("a/long.bin", long_file)
        with long_file.open("r+b") as handle:
            handle.write(b"other")
        with pytest.raises(ArtifactExistsError):
            store.put_file("a/long.bin", long_file)
        assert store.size("a/long.bin") == stored.size_bytes
        assert store.bucket.list_uploads() == []

    def test_parts_are_listed_and_completed_by_another_process(
        self, server: S3Server, place: S3Place, store: S3Artifacts
    ) -> None:
        blocks = [b"a" * PART_BYTES, b"b" * 100]
        upload_id = store.bucket.begin("u/x")
        for number, block in enumerate(blocks, start=1):
            store.bucket.put_part("u/x", upload_id, number, block)
        other = server.open(place).bucket
        parts = other.list_parts("u/x", upload_id)
        assert [(part.number, part.size_bytes) for part in parts] == [(1, PART_BYTES), (2, 100)]
        other.complete("u/x", upload_id, parts)
        other.complete("u/x", upload_id, parts)  # its answer may have been lost
        assert store.get_bytes("u/x") == b"".join(blocks)

    def test_a_part_is_sent_to_a_signed_address_by_somebody_without_credentials(
        self, store: S3Artifacts
    ) -> None:
        upload_id = store.bucket.begin("u/x")
        address = store.bucket.presign_part("u/x", upload_id, 1, 10, life_s=60.0)
        for wrong in (b"from a rig and more", b"short", b""):
            assert _status_of_put(address, wrong) == 403, "another length than was signed"
        assert _status_of_put(address, b"from a rig") == 200
        assert _status_of_put(address.replace("partNumber=1", "partNumber=2"), b"other") == 403
        parts = store.bucket.list_parts("u/x", upload_id)
        store.bucket.complete("u/x", upload_id, parts)
        assert store.get_bytes("u/x") == b"from a rig"

    def test_whether_a_part_may_come_late_is_tried_and_leaves_nothing(
        self, server: S3Server, store: S3Artifacts
    ) -> None:
        assert store.refuses_late_parts() is (server.engine == "ceph")
        assert list(store.bucket.list_below("")) == []
        assert store.bucket.list_uploads() == []

    def test_a_file_is_copied_in_its_parts_and_gone_on_with(self, store: S3Artifacts) -> None:
        blocks = [b"a" * PART_BYTES, b"b" * PART_BYTES, b"c" * 100]
        upload_id = store.begin_parts("u/x ü")
        for number, block in enumerate(blocks, start=1):
            store.bucket.put_part("u/x ü", upload_id, number, block)
        parts = store.parts_there("u/x ü", upload_id)
        store.join_parts("u/x ü", upload_id, parts)
        begun = store.begin_parts("kept/x ü")
        store.bucket.put_part("kept/x ü", begun, 1, blocks[0])  # by a copy that died
        other = replace(parts[1], md5="0" * 32)
        assert store.copy_parts("u/x ü", "kept/x ü", [parts[0], other, parts[2]]) == [2]
        assert store.size("kept/x ü") is None
        assert store.copy_parts("u/x ü", "kept/x ü", parts) == []
        assert store.is_made_of("kept/x ü", parts)
        assert store.get_bytes("kept/x ü") == b"".join(blocks)
        assert store.bucket.list_uploads() == []
        store.begin_parts("u/y")
        store.put_bytes("u/manifest.json", b"{}")
        store.drop_prefix("u")
        assert store.list_keys("") == ["kept/x ü"]
        assert store.bucket.list_uploads() == []

    def test_completing_an_upload_that_was_dropped_is_told(self, store: S3Artifacts) -> None:
        upload_id = store.bucket.begin("u/x")
        part = store.bucket.put_part("u/x", upload_id, 1, b"1")
        store.bucket.abort("u/x", upload_id)
        store.bucket.abort("u/x", upload_id)
        with pytest.raises(OSError, match="upload of u/x"):
            store.bucket.complete("u/x", upload_id, [part])

    def test_a_changed_byte_is_found_when_the_key_is_read(
        self, store: S3Artifacts, tmp_path: Path
    ) -> None:
        stored = store.put_bytes("a/x", b"spikes")
        store.bucket.put("a/x", b"spiked", sha256=stored.sha256)
        with pytest.raises(ArtifactDamagedError, match="a/x"):
            store.get_bytes("a/x")
        with pytest.raises(ArtifactDamagedError, match="a/x"):
            store.fetch("a/x", tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_damaged_bytes_are_replaced_by_the_right_ones_and_by_no_others(
        self, store: S3Artifacts, long_file: Path, tmp_path: Path
    ) -> None:
        stored = store.put_file("a/long.bin", long_file)
        store.bucket.put("a/long.bin", b"damaged")
        (tmp_path / "other").write_bytes(b"other")
        with pytest.raises(ArtifactDamagedError, match="other"):
            store.repair(stored, tmp_path / "other")
        assert store.get_bytes("a/long.bin") == b"damaged"
        store.repair(stored, long_file)
        assert store.get_bytes("a/long.bin") == long_file.read_bytes()
        (tmp_path / "empty").touch()
        empty = store.put_file("a/empty", tmp_path / "empty")
        store.bucket.put("a/empty", b"damaged")
        store.repair(empty, tmp_path / "empty")
        assert store.get_bytes("a/empty") == b""

    def test_what_was_abandoned_long_ago_is_swept(self, store: S3Artifacts) -> None:
        store.bucket.begin("u/x")
        store.bucket.put(_claim_of("u/y"), b"")
        assert store.sweep() == 0
        assert store.sweep(older_than_s=-60.0) == 2
        assert store.bucket.list_uploads() == []

    def test_its_address_opens_the_same_store_and_holds_no_secret(
        self, server: S3Server, store: S3Artifacts, tmp_path: Path
    ) -> None:
        store.put_bytes("a/x", b"1")
        assert server.credentials.secret_key not in store.url
        again = open_artifacts(store.url, server.write_credentials(tmp_path / "secret"))
        assert again.url == store.url
        assert again.get_bytes("a/x") == b"1"
        with pytest.raises(ArtifactMissingError):
            again.get_bytes("a/y")


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://127.0.0.1:1", "nothing answers there"),
        ("http://no-such-host.invalid", "its host's name is not known"),
    ],
)
def test_a_bucket_that_is_away_is_told_in_words(endpoint: str, said: str) -> None:
    with pytest.raises(StorageUnavailableError, match=said) as told:
        S3Artifacts(S3Place(endpoint, "bucket"), S3Credentials("a", "b"))
    assert "MaxRetryError" not in str(told.value)


def _claim_of(key: str) -> str:
    return f"{FOLDER}/{sha256(key.encode()).hexdigest()}/0"


def _status_of_put(address: str, data: bytes) -> int:
    try:
        with urlopen(Request(address, data=data, method="PUT"), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
