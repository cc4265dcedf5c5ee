"""Uploads under way: which parts are safe. The server's word is what a rig resumes from.

A part is written here only after its bytes are durable; this module sees no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select

from spikefleet.core.ids import RecordingId
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.stores.sql.database import Clock, Database, utc_now
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.tables import UPLOAD, UPLOAD_PART, clean_document
from spikefleet.infra.stores.sql.upload_values import (
    NewUpload,
    OpenUploads,
    Upload,
    UploadClosedError,
    UploadConflictError,
    UploadNotFoundError,
    UploadState,
)

COMPLETING_S = 3600.0
"""A completion that was begun longer ago has died: its upload may be dropped."""


class UploadStore:
    """Remembers uploads and their parts. Every call is one transaction."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def create(self, new: NewUpload) -> Upload:
        """Open an upload; the same key with the same name, files and entry returns the first.

        Raises UploadConflictError when the key was used for something else.
        """
        files = [asdict(file) for file in new.files]
        with self._database.write() as connection:
            found = _find(connection, new)
            if found is not None:
                return found
            now = self._clock()
            size_bytes = sum(file.size_bytes for file in new.files)
            connection.execute(
                UPLOAD.insert().values(
                    upload_id=new.upload_id,
                    name=str(new.name),
                    files=files,
                    entry=new.entry,
                    part_size_bytes=new.part_size_bytes,
                    idempotency_key=new.idempotency_key or None,
                    state=str(UploadState.OPEN),
                    created_at=now,
                    updated_at=now,
                    owner=new.owner,
                    # What it takes of this machine's disk.
                    size_bytes=0 if new.direct else size_bytes,
                    direct_bytes=size_bytes if new.direct else 0,
                    direct=dict(new.direct) or None,
                )
            )
            return _read_upload(connection, new.upload_id)

    def find(self, new: NewUpload) -> Upload | None:
        """Return what ``create`` would find; None when it would open an upload.

        Raises UploadConflictError.
        """
        with self._database.read() as connection:
            return _find(connection, new)

    def get(self, upload_id: str) -> Upload:
        """Return one upload. Raises UploadNotFoundError."""
        with self._database.read() as connection:
            return _read_upload(connection, upload_id)

    def state_of(self, upload_id: str) -> UploadState:
        """Return where an upload stands, without its files. Raises UploadNotFoundError."""
        with self._database.read() as connection:
            return _read_state(connection, upload_id)

    def require_open(self, upload_id: str) -> None:
        """Refuse an upload that takes no parts. Raises UploadNotFoundError, UploadClosedError."""
        _require_state(upload_id, self.state_of(upload_id))

    def add_parts(self, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        """Write down that parts are safe: all of them, or none when it raises.

        A part sent again replaces the one at its offset. Raises UploadNotFoundError,
        UploadClosedError.
        """
        places = [{"in_path": part.path, "at_bytes": part.offset_bytes} for part in parts]
        here = (
            (UPLOAD_PART.c.upload_id == upload_id)
            & (UPLOAD_PART.c.path == bindparam("in_path"))
            & (UPLOAD_PART.c.offset_bytes == bindparam("at_bytes"))
        )
        with self._database.write() as connection:
            _require_state(upload_id, _read_state(connection, upload_id))
            connection.execute(UPLOAD_PART.delete().where(here), places)
            connection.execute(UPLOAD_PART.insert(), _part_rows(upload_id, parts))
            self._update(connection, upload_id)

    def parts(self, upload_id: str, path: str = "") -> list[UploadedPart]:
        """Return the stored parts by path and offset, or those of one path.

        Raises UploadNotFoundError.
        """
        query = (
            select(UPLOAD_PART)
            .where(UPLOAD_PART.c.upload_id == upload_id)
            .order_by(UPLOAD_PART.c.path, UPLOAD_PART.c.offset_bytes)
        )
        if path:
            query = query.where(UPLOAD_PART.c.path == path)
        with self._database.read() as connection:
            _read_state(connection, upload_id)
            return [
                UploadedPart(
                    row.path,
                    row.offset_bytes,
                    row.size_bytes,
                    row.sha256,
                    row.from_start,
                    md5=row.md5,
                )
                for row in connection.execute(query)
            ]

    def begin_completion(self, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        """Let nobody drop the upload while its recording is made of these parts.

        They stay known: whoever comes after a completion that died goes on with them. Raises
        UploadNotFoundError, UploadClosedError.
        """
        with self._database.write() as connection:
            _require_unended(_read_upload(connection, upload_id))
            connection.execute(UPLOAD_PART.delete().where(UPLOAD_PART.c.upload_id == upload_id))
            if parts:
                connection.execute(UPLOAD_PART.insert(), _part_rows(upload_id, parts))
            self._update(connection, upload_id, state=str(UploadState.COMPLETING))

    def give_up_completion(self, upload_id: str) -> None:
        """Let an upload take parts again: no recording could be made of those that came."""
        with self._database.write() as connection:
            if _read_state(connection, upload_id) is UploadState.COMPLETING:
                self._update(connection, upload_id, state=str(UploadState.OPEN))

    def accept(self, upload_id: str, recording: Recording, recordings: RecordingStore) -> Recording:
        """Store what the upload became and close it: both, or neither. Twice is a no-op.

        Returns the recording as it is stored. Raises UploadNotFoundError, UploadClosedError when it
        was dropped meanwhile.
        """
        with self._database.write() as connection:
            upload = _read_upload(connection, upload_id)
            if upload.state is not UploadState.COMPLETE:
                _require_unended(upload)
                stored = recordings.add_within(connection, recording, upload.owner)
                self._update(
                    connection,
                    upload_id,
                    state=str(UploadState.COMPLETE),
                    recording_id=stored.recording_id,
                )
                return stored
        return recordings.get(upload.recording_id)

    def require_no_completion(self, upload_id: str) -> None:
        """Refuse to drop an upload of which a recording is made right now.

        Raises UploadNotFoundError, UploadClosedError.
        """
        with self._database.read() as connection:
            self._require_droppable(_read_upload(connection, upload_id))

    def abort(self, upload_id: str) -> Upload:
        """Close the upload without a recording and free its key; twice is a no-op.

        Raises UploadClosedError when it is complete, or is being completed.
        """
        with self._database.write() as connection:
            upload = _read_upload(connection, upload_id)
            if upload.state in (UploadState.ABORTED, UploadState.EXPIRED):
                return upload
            self._require_droppable(upload)
            connection.execute(UPLOAD_PART.delete().where(UPLOAD_PART.c.upload_id == upload_id))
            self._update(
                connection, upload_id, state=str(UploadState.ABORTED), idempotency_key=None
            )
            return _read_upload(connection, upload_id)

    def _require_droppable(self, upload: Upload) -> None:
        if upload.state is UploadState.COMPLETE:
            raise UploadClosedError(f"Upload {upload.upload_id} is complete.")
        begun_at = upload.updated_at if upload.state is UploadState.COMPLETING else None
        if begun_at is not None and self._clock() - begun_at < timedelta(seconds=COMPLETING_S):
            raise UploadClosedError(
                f"Upload {upload.upload_id} is being completed, and cannot be dropped meanwhile."
            )

    def touch(self, upload_id: str) -> None:
        """Note that an open upload is alive. Raises UploadNotFoundError, UploadClosedError."""
        with self._database.write() as connection:
            _require_state(upload_id, _read_state(connection, upload_id))
            self._update(connection, upload_id)

    def change_direct(
        self, upload_id: str, changes: Mapping[str, tuple[str, str]]
    ) -> Mapping[str, str]:
        """Replace ids of files of parts, by path: each where it is still the first of the two.

        Returns all ids as they are then. Raises UploadNotFoundError.
        """
        with self._database.write() as connection:
            known = dict(_read_upload(connection, upload_id).direct)
            due = {path: new for path, (old, new) in changes.items() if known[path] == old}
            if due:
                known.update(due)
                self._update(connection, upload_id, direct=known)
        return known

    def free_key(self, upload_id: str) -> None:
        """Let the key of a complete upload open another one: what became of it was lost since."""
        with self._database.write() as connection:
            _read_upload(connection, upload_id)
            self._update(connection, upload_id, idempotency_key=None)

    def idle(self, idle_s: float) -> list[Upload]:
        """Return the open uploads that nothing was written down for in the last ``idle_s``."""
        with self._database.read() as connection:
            rows = connection.execute(select(UPLOAD).where(self._is_idle(idle_s)))
            return [_make_upload(row) for row in rows]

    def expire(self, upload_id: str, idle_s: float) -> bool:
        """Close an upload that is still idle and free its key. False when it is not."""
        with self._database.write() as connection:
            here = UPLOAD.c.upload_id == upload_id
            found = connection.execute(select(UPLOAD).where(here, self._is_idle(idle_s)))
            if found.first() is None:
                return False
            connection.execute(UPLOAD_PART.delete().where(UPLOAD_PART.c.upload_id == upload_id))
            self._update(
                connection, upload_id, state=str(UploadState.EXPIRED), idempotency_key=None
            )
            return True

    def left_in_store(self, ended_s: float, most: int) -> list[Upload]:
        """Return direct uploads that ended longer ago, of which the store may hold bytes, some."""
        query = (
            select(UPLOAD)
            .where(UPLOAD.c.direct_bytes > 0)
            .where(UPLOAD.c.state.not_in([str(UploadState.OPEN), str(UploadState.COMPLETING)]))
            .where(UPLOAD.c.updated_at < self._clock() - timedelta(seconds=ended_s))
            .order_by(UPLOAD.c.updated_at)
            .limit(most)
        )
        with self._database.read() as connection:
            return [_make_upload(row) for row in connection.execute(query)]

    def nothing_left(self, upload_id: str) -> None:
        """Note that the store holds nothing of an ended upload but what it became."""
        with self._database.write() as connection:
            self._update(connection, upload_id, direct_bytes=0)

    def _is_idle(self, idle_s: float) -> ColumnElement[bool]:
        now = self._clock()
        is_open = UPLOAD.c.state == str(UploadState.OPEN)
        is_completing = UPLOAD.c.state == str(UploadState.COMPLETING)
        before = now - timedelta(seconds=idle_s)
        died_before = now - timedelta(seconds=max(idle_s, COMPLETING_S))
        return (is_open & (UPLOAD.c.updated_at < before)) | (
            is_completing & (UPLOAD.c.updated_at < died_before)
        )

    def open_count(self) -> int:
        """Return how many uploads are under way."""
        query = select(func.count()).where(UPLOAD.c.state == str(UploadState.OPEN))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def open_of(self, owner: str) -> OpenUploads:
        """Return what is under way of one owner's."""
        mine = (UPLOAD.c.state == str(UploadState.OPEN)) & (UPLOAD.c.owner == owner)
        uploads = select(
            func.count(),
            func.coalesce(func.sum(UPLOAD.c.size_bytes), 0),
            func.coalesce(func.sum(UPLOAD.c.direct_bytes), 0),
        ).where(mine)
        received = (
            select(func.coalesce(func.sum(UPLOAD_PART.c.size_bytes), 0))
            .join(UPLOAD, UPLOAD.c.upload_id == UPLOAD_PART.c.upload_id)
            .where(mine)
        )
        with self._database.read() as connection:
            count, announced, direct = connection.execute(uploads).one()
            arrived = connection.execute(received).scalar_one()
            return OpenUploads(int(count), int(announced), int(arrived), int(direct))

    def _update(self, connection: Connection, upload_id: str, **values: Any) -> None:
        connection.execute(
            UPLOAD.update()
            .where(UPLOAD.c.upload_id == upload_id)
            .values(updated_at=self._clock(), **values)
        )


def _find(connection: Connection, new: NewUpload) -> Upload | None:
    """The upload that the key opened. Raises UploadConflictError for one of other files."""
    if not new.idempotency_key:
        return None
    query = select(UPLOAD).where(UPLOAD.c.idempotency_key == new.idempotency_key)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    files = clean_document([asdict(file) for file in new.files])
    if (row.name, row.files, row.entry) != (str(new.name), files, new.entry):
        raise UploadConflictError(
            f"key {new.idempotency_key!r} already opened an upload of {row.name} with other files"
        )
    return _make_upload(row)


def _read_upload(connection: Connection, upload_id: str) -> Upload:
    row = connection.execute(select(UPLOAD).where(UPLOAD.c.upload_id == upload_id)).one_or_none()
    if row is None:
        raise UploadNotFoundError(f"There is no upload {upload_id!r}.")
    return _make_upload(row)


def _make_upload(row: Row[Any]) -> Upload:
    return Upload(
        upload_id=row.upload_id,
        name=RecordingName.parse(row.name),
        files=tuple(ManifestFile(**entry) for entry in row.files),
        entry=row.entry,
        part_size_bytes=row.part_size_bytes,
        idempotency_key=row.idempotency_key or "",
        state=UploadState(row.state),
        recording_id=RecordingId(row.recording_id or ""),
        created_at=row.created_at,
        updated_at=row.updated_at,
        owner=row.owner,
        direct=row.direct or {},
    )


def _read_state(connection: Connection, upload_id: str) -> UploadState:
    """The state alone: the list of files may be long, and every part asks."""
    query = select(UPLOAD.c.state).where(UPLOAD.c.upload_id == upload_id)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise UploadNotFoundError(f"There is no upload {upload_id!r}.")
    return UploadState(found)


def _part_rows(upload_id: str, parts: Sequence[UploadedPart]) -> list[dict[str, Any]]:
    return [{"upload_id": upload_id, **asdict(part)} for part in parts]


def _require_unended(upload: Upload) -> None:
    if upload.state not in (UploadState.OPEN, UploadState.COMPLETING):
        raise UploadClosedError(f"Upload {upload.upload_id} is {upload.state}.")


def _require_state(upload_id: str, state: UploadState) -> None:
    if state is not UploadState.OPEN:
        raise UploadClosedError(f"Upload {upload_id} is {state}.")
