"""Documents and files: whole or not there, read within bounds, known by digest and stamp."""

import hashlib
import os
from pathlib import Path

import pytest

from spikefleet.core import files


def test_a_document_is_replaced_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    for number in (1, 2):
        files.write_json(path, {"b": number, "a": Path("x")})
    assert files.read_json(path) == {"a": "x", "b": 2}
    assert [found.name for found in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 100_000])
def test_what_is_no_document_reads_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert files.read_json(path) is None
    assert files.read_json(tmp_path / "absent.json") is None


def test_an_endless_document_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": "x" * 50})
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 20)
    assert files.read_json(path) is None


def test_a_digest_depends_on_values_not_on_their_order() -> None:
    assert files.digest_document({"a": 1, "b": 2}) == files.digest_document({"b": 2, "a": 1})
    assert files.digest_document({"a": 1}) != files.digest_document({"a": 2})


def test_a_touched_file_has_another_stamp_and_the_same_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"spikes")
    stamp = files.file_stamp(path.stat())
    assert files.file_stamp(path.stat()) == stamp
    os.utime(path, ns=(1, 1))
    assert files.file_stamp(path.stat()) != stamp
    assert files.sha256_of(path) == hashlib.sha256(b"spikes").hexdigest()
