"""Bringing a recording in."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    StorageUnavailableError,
)
from spikefleet.core.files import file_stamp
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.runner.stage_in import require_unchanged, stage_in

DATA = b"0123456789"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    store = LocalArtifacts(tmp_path / "artifacts")
    store.put_bytes("recordings/r/files/a/b.dat", DATA)
    return store


def order(tmp_path: Path, *inputs: InputFile) -> AttemptSpec:
    return replace(make_spec(tmp_path), inputs=inputs)


def entry(source: str, path: str = "a/b.dat", **changes: object) -> InputFile:
    return replace(InputFile(path, source, len(DATA), DIGEST), **changes)  # type: ignore[arg-type]


def test_stored_files_are_linked_under_their_own_paths(
    tmp_path: Path, store: LocalArtifacts
) -> None:
    folder = RunFolder(tmp_path / "run")
    spec = order(tmp_path, entry("recordings/r/files/a/b.dat"))
    stage_in(spec, folder, store)
    stage_in(spec, folder, store)
    staged = folder.inputs / "a" / "b.dat"
    assert staged.read_bytes() == DATA
    assert staged.is_symlink()


def rig_file(tmp_path: Path, data: bytes = DATA) -> tuple[Path, InputFile]:
    """A file in place, and its entry as it was when the file was digested."""
    source = tmp_path / "rig" / "b.dat"
    source.parent.mkdir()
    source.write_bytes(data)
    return source, entry(str(source), in_place=True, stamp=file_stamp(source.stat()))


def test_a_file_in_place_that_nobody_touched_is_linked_and_not_read(
    tmp_path: Path, store: LocalArtifacts
) -> None:
    source, known = rig_file(tmp_path, DATA[::-1])
    folder = RunFolder(tmp_path / "run")
    stage_in(order(tmp_path, known), folder, store)
    assert (folder.inputs / "a" / "b.dat").resolve() == source


@pytest.mark.parametrize("is_old_record", [False, True])
def test_a_file_in_place_overwritten_in_its_own_size_is_refused_with_both_digests(
    tmp_path: Path, store: LocalArtifacts, is_old_record: bool
) -> None:
    source, known = rig_file(tmp_path)
    overwrite(source)
    spec = order(tmp_path, replace(known, stamp="") if is_old_record else known)
    with pytest.raises(InputCorruptError, match="Submit it again as a new recording") as caught:
        stage_in(spec, RunFolder(tmp_path / "run"), store)
    evidence = caught.value.evidence
    assert evidence["expected_sha256"] == DIGEST
    assert evidence["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest() != DIGEST


def test_a_file_in_place_that_was_only_touched_goes_on(
    tmp_path: Path, store: LocalArtifacts
) -> None:
    source, known = rig_file(tmp_path)
    os.utime(source, ns=(1, 1))
    folder = RunFolder(tmp_path / "run")
    spec = order(tmp_path, known)
    stamps = stage_in(spec, folder, store)
    os.utime(source, ns=(2, 2))
    require_unchanged(spec, folder, stamps)


def test_a_file_that_changes_during_the_sort_is_refused(
    tmp_path: Path, store: LocalArtifacts
) -> None:
    source, known = rig_file(tmp_path)
    folder = RunFolder(tmp_path / "run")
    spec = order(tmp_path, known)
    stamps = stage_in(spec, folder, store)
    require_unchanged(spec, folder, stamps)
    overwrite(source)
    with pytest.raises(InputCorruptError, match="while it was sorted"):
        require_unchanged(spec, folder, stamps)


def overwrite(source: Path) -> None:
    """Other bytes of the same length, in place."""
    with source.open("r+b") as handle:
        handle.write(b"ABCD")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(DATA[:-1], "truncated"), (DATA + b"x", "size_mismatch"), (DATA[::-1], "digest_mismatch")],
)
def test_other_bytes_are_refused_by_reason(
    tmp_path: Path, store: LocalArtifacts, data: bytes, reason: str
) -> None:
    store.put_bytes("recordings/r/files/other.dat", data)
    spec = order(tmp_path, entry("recordings/r/files/other.dat"))
    with pytest.raises(InputCorruptError) as caught:
        stage_in(spec, RunFolder(tmp_path / "run"), store)
    assert caught.value.evidence["reason"] == reason


@pytest.mark.parametrize("source", ["recordings/r/files/none", "/nowhere/at/all.dat"])
def test_what_is_not_there_is_missing(tmp_path: Path, store: LocalArtifacts, source: str) -> None:
    with pytest.raises(InputMissingError, match="is not there"):
        stage_in(order(tmp_path, entry(source)), RunFolder(tmp_path / "run"), store)


@pytest.mark.parametrize("path", ["../b.dat", "/b.dat", "a/../../b.dat", ""])
def test_a_path_that_leaves_the_recording_is_refused(
    tmp_path: Path, store: LocalArtifacts, path: str
) -> None:
    spec = order(tmp_path, entry("recordings/r/files/a/b.dat", path))
    with pytest.raises(InputCorruptError, match="not a path inside"):
        stage_in(spec, RunFolder(tmp_path / "run"), store)


def test_a_source_that_cannot_be_read_is_the_stores_trouble(
    tmp_path: Path, store: LocalArtifacts
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StorageUnavailableError):
        stage_in(order(tmp_path, entry(str(loop))), RunFolder(tmp_path / "run"), store)
