"""What only the local folder promises: crashes are invisible, refusals name the folder."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactExistsError,
    ArtifactMissingError,
    StoredFile,
)
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts

KILLED_WRITER = """
import sys
from pathlib import Path
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
store = LocalArtifacts(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    store.put_bytes(f"runs/r/{number}", bytes([number % 256]) * 3_000_000)
    number += 1
"""


def test_a_writer_killed_in_the_middle_leaves_whole_files_only(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(0.4)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = LocalArtifacts(tmp_path)
    keys = store.list_keys("")
    assert keys
    for key in keys:
        assert store.get_bytes(key) == bytes([int(key.rsplit("/", 1)[1]) % 256]) * 3_000_000


def test_leftovers_of_a_crash_are_hidden_and_swept_when_old(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("a/x", b"1")
    (tmp_path / ".incoming" / "young").write_bytes(b"half")
    (tmp_path / ".incoming" / "old").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / ".incoming" / "old", (two_days_ago, two_days_ago))
    again = LocalArtifacts(tmp_path)
    assert again.list_keys("") == ["a/x"]
    assert [p.name for p in (tmp_path / ".incoming").iterdir()] == ["young"]


def test_a_finished_write_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("a/x", b"1")
    store.put_bytes("a/x", b"1")
    with pytest.raises(ArtifactExistsError):
        store.put_bytes("a/x", b"2")
    store.swap_pointer("a/current.json", {})
    assert list((tmp_path / ".incoming").iterdir()) == []


def _durable(folder: Path, names: str) -> list[tuple[StoredFile, Path]]:
    """One file for each letter, holding that letter, and what it is to be in the store."""
    files = []
    for name in names:
        (folder / name).write_text(name)
        digest = hashlib.sha256(name.encode()).hexdigest()
        files.append((StoredFile(f"recordings/r/{name}/data", 1, digest), folder / name))
    return files


def test_files_of_the_same_file_system_are_stored_as_they_lie_also_twice(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "store")
    files = _durable(tmp_path, "abc")
    for given in (files[:2], files):  # a crash in between
        assert store.adopt(given)
    for wanted, path in files:
        assert store.local_path(wanted.key).samefile(path)


def test_a_file_is_not_stored_in_the_place_of_other_bytes(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "store")
    files = _durable(tmp_path, "abc")
    store.put_bytes(files[1][0].key, b"x")
    with pytest.raises(ArtifactExistsError, match="other bytes"):
        store.adopt(files)
    assert store.get_bytes(files[1][0].key) == b"x"


def test_the_folder_of_writes_under_way_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reserved"):
        LocalArtifacts(tmp_path).put_bytes(".incoming/x", b"1")


def test_a_key_below_a_file_is_refused(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("a", b"1")
    with pytest.raises(ArtifactExistsError, match="below a key"):
        store.put_bytes("a/b", b"1")


def test_a_folder_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("a/b", b"1")
    with pytest.raises(ArtifactExistsError):
        store.put_bytes("a", b"1")
    with pytest.raises(ArtifactMissingError):
        store.get_bytes("a")


def test_a_write_the_disk_refuses_is_a_storage_failure_and_leaves_nothing(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageUnavailableError) as caught:
            store.put_bytes("a/x", b"1" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.evidence["operation"] == "write"
    assert store.size("a/x") is None
    assert list((tmp_path / ".incoming").iterdir()) == []
    store.put_bytes("a/x", b"1" * 200_000)


@pytest.mark.parametrize("name", ["plain", "with space", "µV #1 100%"])
def test_the_url_of_a_store_opens_the_same_store(tmp_path: Path, name: str) -> None:
    store = open_artifacts(str(tmp_path / name))
    store.put_bytes("a/x", b"1")
    again = open_artifacts(store.url)
    assert again.url == store.url
    assert again.get_bytes("a/x") == b"1"


@pytest.mark.parametrize("url", ["s3://bucket/x", "ftp://host/x", "file://otherhost/x", "relative"])
def test_a_url_nobody_serves_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match=url.split(":", maxsplit=1)[0]):
        open_artifacts(url)
