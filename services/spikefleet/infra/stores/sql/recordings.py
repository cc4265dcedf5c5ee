"""Accepted recordings: immutable, and one row for one name with the same bytes.

A joined recording keeps the ids of its parts: where their bytes are is remembered in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, bindparam, select

from spikefleet.core.ids import RecordingId
from spikefleet.core.recording.description import KeptDescription
from spikefleet.core.submissions import Recording
from spikefleet.infra.stores.sql.database import Clock, Database, utc_now
from spikefleet.infra.stores.sql.tables import RECORDING, RECORDING_OWNER, in_portions, next_serial

# Whose files a recording in place is read from, beside the recording in its document.
_PLACED_BY = "placed_by"


class RecordingNotFoundError(KeyError):
    """No recording has this id."""

    refusal: ClassVar[str] = "RECORDING_NOT_FOUND"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


_DESCRIBED = select(RECORDING.c.recording_id, RECORDING.c.document, RECORDING.c.description).where(
    RECORDING.c.recording_id.in_(bindparam("ids", expanding=True))
)


class RecordingStore:
    """Remembers recordings. Their bytes never change; where the same bytes are may."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def add(self, recording: Recording, owner: str = "") -> Recording:
        """Store a recording as one of ``owner``'s; return the stored one.

        The same digest under the same name is the recording that is already there; where it lay
        in place, a new location replaces the old, whose files may be gone: that of the owner who
        placed it, or the store's. One that was missing when it was registered is always new:
        nobody knows what it would have been. The parts of a joined recording are added before it.
        """
        with self._database.write() as connection:
            return self.add_within(connection, recording, owner)

    def add_within(self, connection: Connection, recording: Recording, owner: str) -> Recording:
        """``add``, as a part of a transaction that another store began."""
        stored = self._stored(connection, recording, owner)
        if owner and not _owns(connection, stored.recording_id, owner):
            connection.execute(
                RECORDING_OWNER.insert().values(recording_id=stored.recording_id, owner=owner)
            )
        return stored

    def owned(self, recording_ids: Sequence[RecordingId], owner: str) -> set[str]:
        """Return those of these recordings that ``owner`` handed in, first or again."""
        query = select(RECORDING_OWNER.c.recording_id).where(RECORDING_OWNER.c.owner == owner)
        here = RECORDING_OWNER.c.recording_id
        with self._database.read() as connection:
            return {
                row.recording_id
                for portion in in_portions(dict.fromkeys(recording_ids))
                for row in connection.execute(query.where(here.in_(portion)))
            }

    def _stored(self, connection: Connection, recording: Recording, owner: str) -> Recording:
        """Insert the recording unless it is there; return the one that is."""
        known = _find(connection, recording.recording_id) if recording.parts else None
        if known is not None:
            return known
        if not recording.missing:
            row = connection.execute(
                select(RECORDING.c.recording_id, RECORDING.c.document).where(
                    RECORDING.c.digest == recording.digest,
                    RECORDING.c.name == str(recording.name),
                    ~RECORDING.c.missing,
                )
            ).one_or_none()
            if row is not None:
                found = _read(connection, row.document)
                placer = str(row.document.get(_PLACED_BY, ""))
                if recording.in_place and owner and placer != owner:
                    return found  # a stranger's copy may vanish, and the owner's run with it
                return _at_its_newest(connection, found, recording, placer)
        connection.execute(
            RECORDING.insert().values(
                recording_id=recording.recording_id,
                serial=next_serial(connection, RECORDING),
                name=str(recording.name),
                digest=recording.digest,
                missing=recording.missing,
                document=_document(recording, owner),
                created_at=self._clock(),
            )
        )
        return recording

    def get(self, recording_id: RecordingId) -> Recording:
        """Return one recording. Raises RecordingNotFoundError."""
        return self.get_all((recording_id,))[0]

    def get_all(self, recording_ids: Sequence[RecordingId]) -> list[Recording]:
        """Return these recordings in this order. Raises RecordingNotFoundError."""
        return [recording for recording, _ in self.described(recording_ids)]

    def described(
        self, recording_ids: Sequence[RecordingId]
    ) -> list[tuple[Recording, KeptDescription | None]]:
        """Return these recordings in this order, each with what was kept of its headers.

        None for one that was never described. Raises RecordingNotFoundError.
        """
        found = {}
        with self._database.read() as connection:
            for portion in in_portions(dict.fromkeys(recording_ids)):
                for row in connection.execute(_DESCRIBED, {"ids": portion}):
                    kept = row.description and KeptDescription.from_json(row.description)
                    found[row.recording_id] = (_read(connection, row.document), kept or None)
        for recording_id in recording_ids:
            if recording_id not in found:
                raise _unknown(recording_id)
        return [found[recording_id] for recording_id in recording_ids]

    def keep_description(self, recording_id: RecordingId, kept: KeptDescription) -> None:
        """Keep what the headers of a recording say, and with it the reader it is opened by."""
        with self._database.write() as connection:
            here = RECORDING.c.recording_id == recording_id
            query = select(RECORDING.c.document).where(here)
            document = connection.execute(query).scalar_one_or_none()
            if document is None:
                return
            chosen = {"format": kept.description.format, "reader": kept.reader}
            connection.execute(
                RECORDING.update()
                .where(here)
                .values(description=kept.to_json(), document={**document, **chosen})
            )

    def accepted_at(self, recording_id: RecordingId) -> datetime:
        """Return when a recording was accepted, aware UTC. Raises RecordingNotFoundError."""
        query = select(RECORDING.c.created_at).where(RECORDING.c.recording_id == recording_id)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise _unknown(recording_id)
        accepted: datetime = found
        return accepted


def _unknown(recording_id: RecordingId) -> RecordingNotFoundError:
    return RecordingNotFoundError(f"no recording {recording_id!r}; register or upload it")


def _owns(connection: Connection, recording_id: RecordingId, owner: str) -> bool:
    query = select(RECORDING_OWNER.c.owner).where(
        RECORDING_OWNER.c.recording_id == recording_id, RECORDING_OWNER.c.owner == owner
    )
    return connection.execute(query).first() is not None


def _find(connection: Connection, recording_id: RecordingId) -> Recording | None:
    query = select(RECORDING.c.document).where(RECORDING.c.recording_id == recording_id)
    document = connection.execute(query).scalar_one_or_none()
    return None if document is None else _read(connection, document)


def _read(connection: Connection, document: Mapping[str, Any]) -> Recording:
    """Return the recording of a row, its parts as they are now."""
    parts = [_find(connection, part_id) for part_id in document.get("parts", ())]
    told = {name: value for name, value in document.items() if name != _PLACED_BY}
    alone = Recording.from_json({**told, "parts": ()})
    return replace(alone, parts=tuple(part for part in parts if part is not None))


def _document(recording: Recording, placer: str) -> dict[str, Any]:
    parts = [part.recording_id for part in recording.parts]
    return {**replace(recording, parts=()).to_json(), "parts": parts, _PLACED_BY: placer}


def _at_its_newest(
    connection: Connection, known: Recording, seen: Recording, placer: str
) -> Recording:
    """Let a recording registered in place follow its files; one in the store stays there."""
    is_same = known.location == seen.location and known.stamps == seen.stamps
    if not known.in_place or is_same:
        return known
    moved = replace(
        known,
        files=seen.files,
        location=seen.location,
        in_place=seen.in_place,
        entry=seen.entry,
        stamps=seen.stamps,
    )
    connection.execute(
        RECORDING.update()
        .where(RECORDING.c.recording_id == known.recording_id)
        .values(document=_document(moved, placer))
    )
    return moved
