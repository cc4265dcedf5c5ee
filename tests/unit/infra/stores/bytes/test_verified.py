"""Stored bytes are read back once, and again when they were touched; damage names the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    StoredFile,
    publish_folder,
)
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.verified import VerifiedBytes

PREFIX = "runs/run-1/attempts/sort-1"


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    folder = tmp_path / "sort"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"a" * 1000)
    (folder / "b.bin").write_bytes(b"b" * 1000)
    made = LocalArtifacts(tmp_path / "artifacts")
    publish_folder(made, PREFIX, folder)
    return made


def _flip(store: LocalArtifacts, name: str) -> Path:
    path = store.local_path(f"{PREFIX}/{name}")
    path.write_bytes(b"x" + path.read_bytes()[1:])
    return path


def test_one_flipped_byte_of_the_right_size_is_damage_that_names_the_file(store) -> None:
    verified = VerifiedBytes(store)
    assert len(verified.verify(PREFIX)) == 2
    _flip(store, "b.bin")
    with pytest.raises(ArtifactDamagedError, match=r"b\.bin"):
        verified.verify(PREFIX)
    with pytest.raises(ArtifactDamagedError, match=r"b\.bin"):
        VerifiedBytes(store).verify(PREFIX)


def test_what_was_not_touched_is_not_read_again(store, monkeypatch) -> None:
    verified = VerifiedBytes(store)
    verified.verify(PREFIX)
    path = store.local_path(f"{PREFIX}/a.bin")
    os.chmod(store.local_path(f"{PREFIX}/b.bin"), 0o640)  # touched: only this one is read
    read = []
    original = LocalArtifacts.read_chunks

    def counting(self, key, **how):  # type: ignore[no-untyped-def]
        read.append(key)
        return original(self, key, **how)

    monkeypatch.setattr(LocalArtifacts, "read_chunks", counting)
    verified.verify(PREFIX)
    assert [key for key in read if key.endswith(".bin")] == [f"{PREFIX}/b.bin"]
    assert path.is_file()


def test_a_prefix_without_a_manifest_is_missing(store) -> None:
    with pytest.raises(ArtifactMissingError):
        VerifiedBytes(store).verify("runs/run-1/attempts/sort-2")


def test_a_repair_takes_only_the_listed_bytes(store, tmp_path: Path) -> None:
    (listed,) = [f for f in VerifiedBytes(store).verify(PREFIX) if f.key.endswith("a.bin")]
    damaged = _flip(store, "a.bin")
    other = tmp_path / "other"
    other.write_bytes(b"o" * 1000)
    with pytest.raises(ArtifactDamagedError):
        store.repair(listed, other)
    assert damaged.read_bytes()[:2] == b"xa"
    good = tmp_path / "good"
    good.write_bytes(b"a" * 1000)
    store.repair(listed, good)
    assert VerifiedBytes(store).verify(PREFIX)
    assert good.is_file()
    assert isinstance(listed, StoredFile)


def test_a_small_file_is_compared_as_it_is_read_and_a_manifest_read_once(
    store, monkeypatch
) -> None:
    verified = VerifiedBytes(store)
    assert verified.read(PREFIX, "a.bin") == b"a" * 1000
    read = []
    original = LocalArtifacts.get_bytes

    def counting(self, key):  # type: ignore[no-untyped-def]
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(LocalArtifacts, "get_bytes", counting)
    for _ in range(3):
        verified.verify_key(PREFIX, f"{PREFIX}/b.bin")
    assert read == []
    _flip(store, "a.bin")
    with pytest.raises(ArtifactDamagedError, match=r"a\.bin"):
        verified.read(PREFIX, "a.bin")
    with pytest.raises(ArtifactDamagedError, match=r"a\.bin"):
        verified.verify_key(PREFIX, f"{PREFIX}/a.bin")
