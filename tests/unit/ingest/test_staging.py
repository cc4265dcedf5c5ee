"""Staging: parts land at their place in any order, and a name cannot leave the folder."""

import hashlib
from pathlib import Path

import pytest

from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.ingest.staging import Staging, digest_file


def test_parts_written_in_any_order_make_the_file(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.write_parts("u", [("a/b.bin", 4, [b"45", b"67"])])
    staging.write_parts("u", [("a/b.bin", 0, [b"0123"])])
    staging.write_parts("u", [("a/b.bin", 4, [b"4567"])])
    assert staging.file("u", "a/b.bin").read_bytes() == b"01234567"
    start = staging.digest_start("u", "a/b.bin", 4)
    assert start.hexdigest() == hashlib.sha256(b"0123").hexdigest()
    assert digest_file(staging.file("u", "a/b.bin")) == hashlib.sha256(b"01234567").hexdigest()


def test_a_file_without_parts_is_empty_and_any_name_stays_inside(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging")
    empty = staging.ensure_file("u", "../../outside")
    assert empty.read_bytes() == b""
    assert empty.is_relative_to(tmp_path / "staging" / "u")


def test_a_touched_file_looks_different(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    assert staging.stamp("u", "x") is None
    (stamp,) = staging.write_parts("u", [("x", 0, [b"0123"])])
    assert staging.stamp("u", "x") == stamp
    staging.file("u", "x").write_bytes(b"0_23")
    assert staging.stamp("u", "x") != stamp


def test_to_make_sure_of_a_file_does_not_make_it_look_touched(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    (stamp,) = staging.write_parts("u", [("x", 0, [b"0123"])])
    assert staging.ensure_file("u", "x").read_bytes() == b"0123"
    assert staging.stamp("u", "x") == stamp


def test_parts_of_many_files_are_written_together(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    parts = [(f"{number}", 0, [b"%d" % number, b"!"]) for number in range(70)]
    stamps = staging.write_parts("u", parts)
    assert stamps == [staging.stamp("u", path) for path, _, _ in parts]
    read = [staging.file("u", path).read_bytes() for path, _, _ in parts]
    assert read == [b"%d!" % number for number in range(70)]


def test_a_file_that_cannot_be_written_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.write_parts("u", [("old", 0, [b"old"])])
    staging.file("u", "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        staging.write_parts("u", [("new", 0, [b"new"]), ("old", 3, [b"er"]), ("folder", 0, [b"x"])])
    assert staging.file("u", "new").read_bytes() == b""
    assert staging.file("u", "old").read_bytes() == b"old"


@pytest.mark.parametrize("from_start", [True, False])
def test_the_first_damaged_part_is_found(tmp_path: Path, from_start: bool) -> None:
    staging, parts, whole = Staging(tmp_path), [], hashlib.sha256()
    for offset, data in ((0, b"0123"), (4, b"4567"), (8, b"89")):
        staging.write_parts("u", [("x", offset, [data])])
        whole.update(data)
        digest = whole if from_start else hashlib.sha256(data)
        parts.append(UploadedPart("x", offset, len(data), digest.hexdigest(), from_start))
    assert staging.find_damaged("u", "x", parts) == []
    staging.file("u", "x").write_bytes(b"012345_789")
    assert staging.find_damaged("u", "x", parts) == [4]


def test_discarding_takes_only_the_upload_and_twice_is_fine(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.write_parts("one", [("x", 0, [b"1"])])
    staging.write_parts("two", [("x", 0, [b"2"])])
    staging.discard("one")
    staging.discard("one")
    assert [folder.name for folder in tmp_path.iterdir()] == ["two"]
