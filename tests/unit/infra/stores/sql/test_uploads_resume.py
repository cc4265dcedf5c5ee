"""Uploads: the server's word on what has arrived."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.postgres import postgres_server, postgres_url

from spikefleet.core.ids import RecordingId
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingNotFoundError, RecordingStore
from spikefleet.infra.stores.sql.upload_values import (
    NewUpload,
    UploadClosedError,
    UploadConflictError,
    UploadNotFoundError,
    UploadState,
)
from spikefleet.infra.stores.sql.uploads import COMPLETING_S, UploadStore
from spikefleet.ingest.intake import accepted_recording

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


def accept(store: UploadStore, upload_id: str = "upload-1", name: str = "well-A1") -> Recording:
    """Make the upload a recording, as one transaction."""
    files = (ManifestFile("data.raw", 1, "0" * 64),)
    recording = accepted_recording(RecordingName("retina", "monday", name), files, "data.raw")
    return store.accept(upload_id, recording, RecordingStore(store._database))


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
    recording = accept(store)
    done = store.get("upload-1")
    assert (done.state, done.recording_id) == (UploadState.COMPLETE, recording.recording_id)
    assert accept(store) == accept(store, name="well-B2") == recording
    assert store.create(NEW) == done
    assert store.open_count() == 0


def test_an_upload_that_is_being_completed_is_neither_dropped_nor_expires(store) -> None:
    now = [datetime.now(UTC)]
    store = UploadStore(store._database, lambda: now[0])
    store.create(NEW)
    parts = [UploadedPart("data.raw", 0, PART, "", md5="0" * 32)]
    store.begin_completion("upload-1", parts)
    now[0] += timedelta(seconds=COMPLETING_S - 1)
    assert store.idle(1) == []
    assert not store.expire("upload-1", 1)
    for drop in (store.abort, store.require_no_completion):
        with pytest.raises(UploadClosedError, match="being completed"):
            drop("upload-1")
    with pytest.raises(UploadClosedError, match="completing"):
        store.touch("upload-1")
    assert store.parts("upload-1") == parts  # whoever comes next goes on with them
    assert store.create(NEW).state is UploadState.COMPLETING
    recording = accept(store)
    assert store.get("upload-1").recording_id == recording.recording_id


def test_a_completion_that_died_is_dropped_in_the_end(store) -> None:
    now = [datetime.now(UTC)]
    store = UploadStore(store._database, lambda: now[0])
    for upload_id in ("upload-1", "upload-2"):
        store.create(replace(NEW, upload_id=upload_id, idempotency_key=""))
        store.begin_completion(upload_id, [])
    now[0] += timedelta(seconds=COMPLETING_S + 1)
    assert store.abort("upload-1").state is UploadState.ABORTED
    assert store.expire("upload-2", 1)
    for upload_id in ("upload-1", "upload-2"):
        with pytest.raises(UploadClosedError):
            accept(store, upload_id)
        with pytest.raises(UploadClosedError):
            store.begin_completion(upload_id, [])
    with pytest.raises(RecordingNotFoundError):
        RecordingStore(store._database).get(accept_id())


def accept_id() -> RecordingId:
    files = (ManifestFile("data.raw", 1, "0" * 64),)
    name = RecordingName("retina", "monday", "well-A1")
    return accepted_recording(name, files, "data.raw").recording_id


def test_a_completion_given_up_takes_parts_again(store: UploadStore) -> None:
    store.create(NEW)
    store.begin_completion("upload-1", [])
    store.give_up_completion("upload-1")
    store.touch("upload-1")
    assert store.abort("upload-1").state is UploadState.ABORTED


def test_ids_of_files_of_parts_change_where_nobody_was_quicker(store: UploadStore) -> None:
    store.create(replace(NEW, direct={"data.raw": ""}))
    assert store.change_direct("upload-1", {"data.raw": ("", "one")}) == {"data.raw": "one"}
    assert store.change_direct("upload-1", {"data.raw": ("", "two")}) == {"data.raw": "one"}
    assert store.get("upload-1").direct == {"data.raw": "one"}
    held = store.open_of("")
    assert (held.announced_bytes, held.direct_bytes) == (0, 5_000_000_000)


def test_a_closed_upload_takes_no_part(store: UploadStore) -> None:
    store.create(NEW)
    accept(store)
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
        accept(store)
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
