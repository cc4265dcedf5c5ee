"""Uploads: the server's word on what has arrived."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.postgres import postgres_server, postgres_url

from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile, RecordingName
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.uploads import (
    NewUpload,
    UploadClosedError,
    UploadConflictError,
    UploadNotFoundError,
    UploadState,
    UploadStore,
)

__all__ = ["postgres_server", "postgres_url"]  # fixtures

PART = 16 << 20
NEW = NewUpload(
    upload_id="upload-1",
    name=RecordingName("retina", "monday", "well-A1"),
    files=(ManifestFile("data.raw", 5_000_000_000, ""),),
    entry="data.raw",
    part_size_bytes=PART,
    idempotency_key="k",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UploadStore]:
    sqlite = request.param == "sqlite"
    url = (
        f"sqlite:///{tmp_path / 'state.db'}" if sqlite else request.getfixturevalue("postgres_url")
    )
    database = Database(url)
    database.migrate()
    yield UploadStore(database)
    database.close()


def test_an_upload_comes_back_as_it_was_opened(store: UploadStore) -> None:
    upload = store.create(NEW)
    assert store.get("upload-1") == upload
    assert upload.files == NEW.files
    assert (upload.name, upload.entry, upload.state) == (NEW.name, NEW.entry, UploadState.OPEN)
    assert store.open_count() == 1


def test_the_same_key_returns_the_first_upload(store: UploadStore) -> None:
    upload = store.create(NEW)
    assert store.create(replace(NEW, upload_id="upload-2", part_size_bytes=1)) == upload


def test_a_key_used_for_other_files_is_refused(store: UploadStore) -> None:
    store.create(NEW)
    with pytest.raises(UploadConflictError, match="with other files"):
        store.create(replace(NEW, upload_id="upload-2", files=()))


def test_without_a_key_every_upload_is_new(store: UploadStore) -> None:
    store.create(replace(NEW, idempotency_key=""))
    store.create(replace(NEW, idempotency_key="", upload_id="upload-2"))
    assert store.open_count() == 2


def test_parts_are_listed_in_order_whatever_order_they_came_in(store: UploadStore) -> None:
    store.create(NEW)
    parts = [UploadedPart("data.raw", n * PART, PART, f"{n:064x}") for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: store.add_parts("upload-1", [part]), reversed(parts)))
    assert store.parts("upload-1") == parts


def test_a_part_sent_again_replaces_the_one_at_its_place(store: UploadStore) -> None:
    store.create(NEW)
    first = UploadedPart("data.raw", 0, PART, "0" * 64)
    for part in (first, first, replace(first, sha256="1" * 64)):
        store.add_parts("upload-1", [part])
    assert store.parts("upload-1") == [replace(first, sha256="1" * 64)]


def test_completing_twice_is_a_no_op(store: UploadStore) -> None:
    store.create(NEW)
    done = store.complete("upload-1", "rec-1")
    assert (done.state, done.recording_id) == (UploadState.COMPLETE, "rec-1")
    assert store.complete("upload-1", "rec-1") == done
    assert store.create(NEW) == done
    with pytest.raises(UploadConflictError, match="rec-1"):
        store.complete("upload-1", "rec-2")
    assert store.open_count() == 0


def test_a_closed_upload_takes_no_part(store: UploadStore) -> None:
    store.create(NEW)
    store.complete("upload-1", "rec-1")
    with pytest.raises(UploadClosedError, match="complete"):
        store.add_parts("upload-1", [UploadedPart("data.raw", 0, 1, "0" * 64)])
    with pytest.raises(UploadClosedError):
        store.abort("upload-1")


def test_an_aborted_upload_frees_its_key(store: UploadStore) -> None:
    store.create(NEW)
    store.add_parts("upload-1", [UploadedPart("data.raw", 0, 1, "0" * 64)])
    aborted = store.abort("upload-1")
    assert store.abort("upload-1") == aborted
    assert store.parts("upload-1") == []
    with pytest.raises(UploadClosedError, match="aborted"):
        store.complete("upload-1", "rec-1")
    assert store.create(replace(NEW, upload_id="upload-2")).upload_id == "upload-2"


def test_an_unknown_upload_is_named(store: UploadStore) -> None:
    for call in (store.get, store.parts, store.abort):
        with pytest.raises(UploadNotFoundError, match="upload-absent"):
            call("upload-absent")


def test_an_idle_upload_expires_and_frees_its_key(store: UploadStore) -> None:
    store.create(NEW)
    assert store.idle(3600) == []
    assert not store.expire("upload-1", 3600)
    [idle] = store.idle(-1)
    assert idle.upload_id == "upload-1"
    assert store.expire("upload-1", -1)
    assert not store.expire("upload-1", -1)
    assert store.get("upload-1").state is UploadState.EXPIRED
    assert store.idle(-1) == []
    with pytest.raises(UploadClosedError, match="expired"):
        store.require_open("upload-1")
    assert store.create(replace(NEW, upload_id="upload-2")).upload_id == "upload-2"


def test_a_part_keeps_what_its_digest_covers(store: UploadStore) -> None:
    store.create(NEW)
    parts = [UploadedPart("data.raw", n * PART, PART, "0" * 64, bool(n)) for n in range(2)]
    for part in parts:
        store.add_parts("upload-1", [part])
    assert store.parts("upload-1") == parts
