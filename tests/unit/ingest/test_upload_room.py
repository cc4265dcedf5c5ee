"""One user fills his share of what uploads may take, and no more; others keep theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile, RecordingName
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.upload_values import NewUpload, Upload, UploadState
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.staging import Staging
from spikefleet.ingest.upload_room import UploadRoom

NAME = RecordingName("lab", "monday", "probe")


class SmallDisk(Staging):
    """A staging folder on a disk with a known room."""

    room = 1000

    def room_bytes(self) -> int:
        return self.room


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[UploadStore]:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    yield UploadStore(database)
    database.close()


def opened(uploads: UploadStore, number: int, size_bytes: int, owner: str) -> Upload:
    files = (ManifestFile("a.raw", size_bytes, ""),)
    return uploads.create(NewUpload(f"upload-{number}", NAME, files, "", 100, "", owner))


def test_what_a_user_announces_beyond_his_share_is_refused_and_dropped(uploads, tmp_path) -> None:
    room = UploadRoom(SmallDisk(tmp_path), uploads, share=0.5)
    room.require_share(opened(uploads, 1, 400, "a"))
    with pytest.raises(RpcProblem) as caught:
        room.require_share(opened(uploads, 2, 101, "a"))
    assert caught.value.reason == "DISK_FULL"
    assert uploads.state_of("upload-2") is UploadState.ABORTED
    room.require_share(opened(uploads, 3, 500, "b"))
    room.require_share(opened(uploads, 4, 100, "a"))


def test_bytes_that_have_come_do_not_count_twice(uploads, tmp_path) -> None:
    disk = SmallDisk(tmp_path)
    room = UploadRoom(disk, uploads, share=0.5)
    opened(uploads, 1, 400, "a")
    for offset in range(0, 400, 100):
        uploads.add_parts("upload-1", [UploadedPart("a.raw", offset, 100, "0" * 64)])
    disk.room = 600
    room.require_share(opened(uploads, 2, 100, "a"))
    with pytest.raises(RpcProblem):
        room.require_share(opened(uploads, 3, 1, "a"))


def test_a_user_has_so_many_uploads_open_and_an_ended_one_makes_room(uploads, tmp_path) -> None:
    room = UploadRoom(SmallDisk(tmp_path), uploads, most_open=2)
    for number in (1, 2):
        room.require_share(opened(uploads, number, 1, "a"))
    with pytest.raises(RpcProblem) as caught:
        room.require_share(opened(uploads, 3, 1, "a"))
    assert caught.value.reason == "TOO_MANY_UPLOADS"
    room.require_share(opened(uploads, 4, 1, "b"))
    uploads.abort("upload-1")
    room.require_share(opened(uploads, 5, 1, "a"))
