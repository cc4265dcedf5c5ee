"""Staging: parts land at their place in any order, and a name cannot leave the folder."""

import hashlib
from pathlib import Path

from spikefleet.ingest.staging import Staging, digest_file


def test_parts_written_in_any_order_make_the_file(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.write_part("u", "a/b.bin", 4, b"4567")
    staging.write_part("u", "a/b.bin", 0, b"0123")
    staging.write_part("u", "a/b.bin", 4, b"4567")
    assert staging.file("u", "a/b.bin").read_bytes() == b"01234567"
    assert staging.digest_part("u", "a/b.bin", 4, 4) == hashlib.sha256(b"4567").hexdigest()
    assert digest_file(staging.file("u", "a/b.bin")) == hashlib.sha256(b"01234567").hexdigest()


def test_a_file_without_parts_is_empty_and_any_name_stays_inside(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging")
    empty = staging.ensure_file("u", "../../outside")
    assert empty.read_bytes() == b""
    assert empty.is_relative_to(tmp_path / "staging" / "u")


def test_discarding_takes_only_the_upload_and_twice_is_fine(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.write_part("one", "x", 0, b"1")
    staging.write_part("two", "x", 0, b"2")
    staging.discard("one")
    staging.discard("one")
    assert [folder.name for folder in tmp_path.iterdir()] == ["two"]
