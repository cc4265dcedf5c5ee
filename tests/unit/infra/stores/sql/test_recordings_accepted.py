"""Recordings: one row for one name with the same bytes, never changed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.postgres import postgres_server, postgres_url

from spikefleet.core.submissions import (
    ManifestFile,
    Recording,
    RecordingName,
    digest_manifest,
    join_recordings,
)
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingNotFoundError, RecordingStore

__all__ = ["postgres_server", "postgres_url"]  # fixtures

FILES = (ManifestFile("a/data.raw", 3_000_000_000, "0" * 64), ManifestFile("meta", 2, "1" * 64))
RECORDING = Recording(
    recording_id="rec-1",
    name=RecordingName("retina", "monday", "well-A1"),
    files=FILES,
    digest=digest_manifest(FILES),
    location="recordings/rec-1/files",
    entry="a/data.raw",
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordingStore]:
    sqlite = request.param == "sqlite"
    url = (
        f"sqlite:///{tmp_path / 'state.db'}" if sqlite else request.getfixturevalue("postgres_url")
    )
    database = Database(url)
    database.migrate()
    yield RecordingStore(database, lambda: NOW)
    database.close()


def test_a_recording_comes_back_as_it_was_accepted(store: RecordingStore) -> None:
    assert store.add(RECORDING) == RECORDING
    assert store.get("rec-1") == RECORDING
    assert store.accepted_at("rec-1") == NOW


def test_the_same_bytes_under_the_same_name_are_one_recording(store: RecordingStore) -> None:
    store.add(RECORDING)
    assert store.add(replace(RECORDING, recording_id="rec-2")) == RECORDING


def test_everybody_who_handed_the_bytes_in_owns_them_and_a_stranger_moves_no_copy(
    store: RecordingStore,
) -> None:
    mine = replace(RECORDING, in_place=True, location="/mine")
    assert store.add(mine, "uid:1") == mine
    for _ in range(2):  # a stranger who comes again is one still
        assert store.add(replace(mine, location="/theirs"), "uid:2").location == "/mine"
    owned = [store.owned(["rec-1", "rec-2"], f"uid:{uid}") for uid in (1, 2, 3)]
    assert owned == [{"rec-1"}, {"rec-1"}, set()]
    assert store.add(replace(mine, location="/moved"), "uid:1").location == "/moved"


def test_the_same_bytes_under_another_name_are_another_recording(store: RecordingStore) -> None:
    other = replace(RECORDING, recording_id="rec-2", name=RecordingName("retina", "x", "y"))
    store.add(RECORDING)
    assert store.add(other) == other
    assert store.get("rec-2") == other


def test_a_missing_recording_is_always_new(store: RecordingStore) -> None:
    first, second = (
        replace(RECORDING, recording_id=f"rec-{n}", files=(), digest="", missing=True)
        for n in (1, 2)
    )
    assert (store.add(first), store.add(second)) == (first, second)


def test_two_rigs_with_the_same_bytes_get_one_recording(store: RecordingStore) -> None:
    offers = [replace(RECORDING, recording_id=f"rec-{n}") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert len({stored.recording_id for stored in pool.map(store.add, offers)}) == 1


def test_an_unknown_recording_is_named(store: RecordingStore) -> None:
    for call in (store.get, store.accepted_at):
        with pytest.raises(RecordingNotFoundError, match="rec-absent"):
            call("rec-absent")


def test_a_recording_registered_again_elsewhere_is_read_from_there(store: RecordingStore) -> None:
    first = replace(RECORDING, in_place=True, location="/rig/old")
    known = store.add(first)
    moved = store.add(replace(first, recording_id="rec-other", location="/rig/new"))
    assert (moved.recording_id, moved.location) == (known.recording_id, "/rig/new")
    uploaded = store.add(
        replace(first, recording_id="rec-third", location="recordings/rec-third", in_place=False)
    )
    assert (uploaded.recording_id, uploaded.in_place) == (known.recording_id, False)
    assert store.add(first) == store.get(known.recording_id) == uploaded


def test_a_joined_recording_follows_its_parts_where_they_lie(store: RecordingStore) -> None:
    parts = [
        replace(RECORDING, recording_id=f"rec-{n}", digest=n, location=f"/{n}", in_place=True)
        for n in "ab"
    ]
    joined = join_recordings([store.add(part) for part in parts])
    assert store.add(joined) == joined == store.add(joined) == store.get(joined.recording_id)
    moved = store.add(replace(parts[0], recording_id="rec-c", location="/elsewhere"))
    assert store.get(joined.recording_id).parts == (moved, parts[1])


def test_a_joined_recording_with_a_missing_part_is_kept_once(store: RecordingStore) -> None:
    gone = replace(RECORDING, recording_id="rec-gone", digest="gone", missing=True, files=())
    joined = join_recordings([store.add(RECORDING), store.add(gone)])
    assert store.add(joined) == joined == store.add(joined)


def test_bytes_that_a_stranger_uploaded_keep_the_owners_recording_too(
    store: RecordingStore,
) -> None:
    mine = replace(RECORDING, in_place=True, location="/mine")
    store.add(mine, "uid:1")
    stored = store.add(RECORDING, "uid:2")
    assert (stored.in_place, stored.location) == (False, RECORDING.location)
    assert store.add(mine, "uid:1") == store.get("rec-1") == stored
