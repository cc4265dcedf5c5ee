"""What every artifact store must do. An adapter's test subclasses this and gives a ``store``."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikefleet.infra.stores.bytes.artifacts import (
    MANIFEST,
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMissingError,
    ArtifactStore,
    StoredFile,
    pointer_key,
    publish_folder,
    verify_prefix,
    write_manifest,
)
from spikefleet.infra.stores.bytes.verified import VerifiedBytes

BAD_KEYS = ["", "/a", "a//b", "a/", "../a", "a/../b", "a/./b", "a\x00b", "a/" + "x" * 300]


def put_quietly(store: ArtifactStore, key: str, data: bytes) -> bool:
    try:
        store.put_bytes(key, data)
    except ArtifactExistsError:
        return False
    return True


class ArtifactStoreContract:
    """Subclasses give ``store`` (empty) and ``damage`` (change stored bytes behind its back)."""

    @pytest.fixture
    def store(self) -> ArtifactStore:
        raise NotImplementedError

    @pytest.fixture
    def damage(self, store: ArtifactStore) -> Callable[[str, bytes], None]:
        raise NotImplementedError

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "result"
        (folder / "sorting").mkdir(parents=True)
        (folder / "result.json").write_text("{}")
        (folder / "sorting" / "spikes.npy").write_bytes(os.urandom(70_000))
        (folder / "sorting" / "empty").write_bytes(b"")
        return folder

    def test_bytes_come_back_as_they_went_in(self, store: ArtifactStore) -> None:
        stored = store.put_bytes("a/b/c.bin", b"spikes")
        assert stored == StoredFile("a/b/c.bin", 6, hashlib.sha256(b"spikes").hexdigest())
        assert store.get_bytes("a/b/c.bin") == b"spikes"
        assert store.size("a/b/c.bin") == 6

    def test_bytes_longer_than_any_part_come_back_as_they_went_in(
        self, store: ArtifactStore
    ) -> None:
        data = bytes(range(256)) * (20 << 12)  # 20 MiB: a manifest of very many files
        stored = store.put_bytes("a/long", data)
        assert store.put_bytes("a/long", data) == stored
        assert store.get_bytes("a/long") == data

    def test_a_file_comes_back_as_it_went_in(self, store: ArtifactStore, tmp_path: Path) -> None:
        data = os.urandom(5 << 20) + b"tail"
        source = tmp_path / "source.bin"
        source.write_bytes(data)
        stored = store.put_file("runs/r/x.bin", source)
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
        assert stored.size_bytes == len(data)
        store.fetch("runs/r/x.bin", tmp_path / "deep" / "copy.bin")
        assert (tmp_path / "deep" / "copy.bin").read_bytes() == data
        assert [p.name for p in (tmp_path / "deep").iterdir()] == ["copy.bin"]

    def test_changing_the_source_afterwards_changes_nothing(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        source = tmp_path / "source.bin"
        source.write_bytes(b"before")
        store.put_file("a/x", source)
        with source.open("r+b") as handle:
            handle.write(b"AFTER!")
        assert store.get_bytes("a/x") == b"before"
        assert source.read_bytes() == b"AFTER!"

    def test_a_missing_source_is_named(self, store: ArtifactStore, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.put_file("a/x", tmp_path / "absent")
        assert store.size("a/x") is None

    def test_the_same_bytes_twice_are_stored_once(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        first = store.put_bytes("a/x", b"same")
        (tmp_path / "x").write_bytes(b"same")
        assert store.put_bytes("a/x", b"same") == first
        assert store.put_file("a/x", tmp_path / "x") == first
        assert store.list_keys("a") == ["a/x"]

    @pytest.mark.parametrize("other", [b"four", b"longer than before", b""])
    def test_other_bytes_are_refused_and_the_first_stay(
        self, store: ArtifactStore, other: bytes
    ) -> None:
        store.put_bytes("a/x", b"same")
        with pytest.raises(ArtifactExistsError):
            store.put_bytes("a/x", other)
        assert store.get_bytes("a/x") == b"same"

    def test_of_many_writers_exactly_one_wins(self, store: ArtifactStore) -> None:
        payloads = [bytes([n]) * 200_000 for n in range(8)]
        for attempt in range(10):
            key = f"race/{attempt}"
            with ThreadPoolExecutor(8) as pool:
                won = list(pool.map(lambda data, k=key: put_quietly(store, k, data), payloads))
            assert won.count(True) == 1
            assert store.get_bytes(key) == payloads[won.index(True)]

    def test_many_writers_of_the_same_bytes_all_succeed(self, store: ArtifactStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: put_quietly(store, "race/x", b"z" * 99), range(8)))
        assert store.get_bytes("race/x") == b"z" * 99

    def test_reading_starts_at_the_offset(self, store: ArtifactStore) -> None:
        store.put_bytes("a/x", b"0123456789")
        assert list(store.read_chunks("a/x", offset=4, chunk_bytes=4)) == [b"4567", b"89"]
        assert list(store.read_chunks("a/x", offset=10)) == []

    def test_a_missing_key_is_named_by_every_reader(
        self, store: ArtifactStore, tmp_path: Path
    ) -> None:
        store.put_bytes("a/x", b"1")
        for absent in ("a/y", "a", "b"):
            assert store.size(absent) is None
            with pytest.raises(ArtifactMissingError, match=absent):
                store.get_bytes(absent)
            with pytest.raises(ArtifactMissingError, match=absent):
                list(store.read_chunks(absent))
            with pytest.raises(ArtifactMissingError, match=absent):
                store.fetch(absent, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_keys_are_listed_by_folder_not_by_string(self, store: ArtifactStore) -> None:
        for key in ("runs/r1/b", "runs/r1/a/z", "runs/r10/c", "top"):
            store.put_bytes(key, b"")
        assert store.list_keys("runs/r1") == ["runs/r1/a/z", "runs/r1/b"]
        assert store.list_keys("") == ["runs/r1/a/z", "runs/r1/b", "runs/r10/c", "top"]
        assert store.list_keys("nowhere") == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_leaves_its_place_is_refused(
        self, store: ArtifactStore, key: str, tmp_path: Path
    ) -> None:
        (tmp_path / "x").write_bytes(b"1")
        with pytest.raises(ValueError, match=r"key|part"):
            store.put_bytes(key, b"1")
        with pytest.raises(ValueError, match=r"key|part"):
            store.put_file(key, tmp_path / "x")
        with pytest.raises(ValueError, match=r"key|part"):
            store.get_bytes(key)
        with pytest.raises(ValueError, match=r"key|part"):
            store.delete_prefix(key)

    @pytest.mark.parametrize("key", ["a/ü µV.bin", "a/with space", "a/%41#?", "a/..b", "a/.hidden"])
    def test_unusual_names_are_kept(self, store: ArtifactStore, key: str) -> None:
        store.put_bytes(key, b"1")
        assert store.list_keys("a") == [key]
        assert store.get_bytes(key) == b"1"

    def test_a_published_folder_is_complete(self, store: ArtifactStore, folder: Path) -> None:
        stored = publish_folder(store, "runs/r/attempts/sort-1", folder)
        assert len(stored) == 3
        verified = VerifiedBytes(store).verify("runs/r/attempts/sort-1")
        assert {file.key: file for file in verified} == {file.key: file for file in stored}

    def test_a_prefix_without_its_manifest_is_not_there(
        self, store: ArtifactStore, folder: Path
    ) -> None:
        store.put_file("p/result.json", folder / "result.json")
        with pytest.raises(ArtifactMissingError):
            verify_prefix(store, "p")
        publish_folder(store, "p", folder)
        assert len(verify_prefix(store, "p")) == 3

    def test_the_manifest_is_written_last(self, folder: Path, store: ArtifactStore) -> None:
        order: list[str] = []

        class Watched:
            url = store.url

            def __getattr__(self, name: str) -> object:
                method = getattr(store, name)
                if not name.startswith("put_"):
                    return method

                def put(key: str, source: object) -> object:
                    order.append(key)
                    return method(key, source)

                return put

        publish_folder(Watched(), "p", folder)  # type: ignore[arg-type]
        assert order[-1] == f"p/{MANIFEST}"
        assert len(order) == 4

    def test_publishing_twice_leaves_the_first(self, store: ArtifactStore, folder: Path) -> None:
        first = publish_folder(store, "p", folder)
        (folder / "late.txt").write_text("a late writer")
        assert sorted(f.key for f in publish_folder(store, "p", folder)) == sorted(
            f.key for f in first
        )
        assert store.size("p/late.txt") is None

    def test_a_file_of_the_wrong_size_is_found_by_its_manifest(
        self, store: ArtifactStore, folder: Path, damage: Callable[[str, bytes], None]
    ) -> None:
        publish_folder(store, "p", folder)
        damage("p/sorting/spikes.npy", b"short")
        with pytest.raises(ArtifactDamagedError, match=r"spikes\.npy"):
            verify_prefix(store, "p")

    def test_a_changed_byte_is_found_by_its_digest(
        self, store: ArtifactStore, folder: Path, damage: Callable[[str, bytes], None]
    ) -> None:
        publish_folder(store, "p", folder)
        data = bytearray(store.get_bytes("p/sorting/spikes.npy"))
        data[1234] ^= 1
        damage("p/sorting/spikes.npy", bytes(data))
        verify_prefix(store, "p")
        with pytest.raises(ArtifactDamagedError, match=r"spikes\.npy"):
            VerifiedBytes(store).verify("p")

    def test_a_manifest_that_lists_an_absent_file_is_damaged(self, store: ArtifactStore) -> None:
        write_manifest(store, "p", [StoredFile("p/absent", 3, "0" * 64)])
        with pytest.raises(ArtifactDamagedError, match="absent"):
            verify_prefix(store, "p")

    @pytest.mark.parametrize(
        "manifest",
        [
            b'{"files": [',
            b'{"files": [{"path": "a", "size_bytes": 1e999, "sha256": ""}]}',
            b'{"files": [{"path": "../../other/a", "size_bytes": 1, "sha256": ""}]}',
            b'{"files": [{"path": "", "size_bytes": 1, "sha256": ""}]}',
            b'{"files": {"path": "a"}}',
            b"[" * 100_000,
        ],
        ids=["torn", "endless", "outside", "no path", "table", "deep"],
    )
    def test_an_unreadable_manifest_is_damaged(self, store: ArtifactStore, manifest: bytes) -> None:
        store.put_bytes(f"p/{MANIFEST}", manifest)
        with pytest.raises(ArtifactDamagedError):
            verify_prefix(store, "p")

    def test_a_pointer_is_swapped(self, store: ArtifactStore) -> None:
        key = pointer_key("run-1")
        store.swap_pointer(key, {"sort": "a"})
        store.swap_pointer(key, {"sort": "b", "curate": "c"})
        assert store.get_bytes(key).count(b'"sort": "b"') == 1

    def test_nothing_but_a_pointer_is_swapped(self, store: ArtifactStore) -> None:
        with pytest.raises(ValueError, match="written once"):
            store.swap_pointer("runs/r/result.json", {})

    def test_an_unfinished_prefix_can_be_removed(self, store: ArtifactStore) -> None:
        for key in ("u/1/files/a", "u/1/files/manifest.json", "u/10/a"):
            store.put_bytes(key, b"1")
        store.delete_prefix("u/1")
        store.delete_prefix("u/1")
        assert store.list_keys("u") == ["u/10/a"]
        store.put_bytes("u/1/files/a", b"other")

    def test_a_finished_artifact_is_never_removed(self, store: ArtifactStore, folder: Path) -> None:
        publish_folder(store, "runs/r/attempts/sort-1", folder)
        for prefix in ("runs/r/attempts/sort-1", "runs/r", "runs"):
            with pytest.raises(ValueError, match="finished"):
                store.delete_prefix(prefix)
        assert len(VerifiedBytes(store).verify("runs/r/attempts/sort-1")) == 3

    def test_an_aborted_read_leaves_the_store_usable(self, store: ArtifactStore) -> None:
        store.put_bytes("a/x", b"0123456789")
        chunks: Iterator[bytes] = store.read_chunks("a/x", chunk_bytes=1)
        next(chunks)
        del chunks
        assert store.get_bytes("a/x") == b"0123456789"
