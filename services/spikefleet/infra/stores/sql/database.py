"""One database by URL: connections, transactions and migrations for SQLite and PostgreSQL.

Writers take turns, on both databases. It costs nothing at our rates, keeps event numbers in commit
order (a watcher that resumes after number n misses nothing) and leaves no race that exists on one
database only. Errors of the database itself become StorageUnavailableError, so that no caller needs
to know SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.visible_text import without_secrets
from spikefleet.infra.stores.sql.epochs import StaleControllerError, bump_epoch, check_epoch
from spikefleet.infra.stores.sql.migrations import DIALECT_TYPES, MIGRATIONS, Migration
from spikefleet.infra.stores.sql.tables import SCHEMA_VERSION, read_document

Clock = Callable[[], datetime]

_BUSY_TIMEOUT_MS = 30_000
_WRITER_LOCK = 0x5350_494B  # any constant: the key of the advisory lock all our writers share
# The database understood the statement and refused it: our bug, not an outage.
_OUR_MISTAKES = (IntegrityError, DataError, ProgrammingError, NotSupportedError)


class SchemaTooNewError(RuntimeError):
    """The database was migrated by a newer release; this one must not write to it."""


def utc_now() -> datetime:
    """The default clock: aware UTC."""
    return datetime.now(UTC)


class Database:
    """A SQLite file (``sqlite:////var/lib/spikefleet/state.db``) or a PostgreSQL database.

    ``password`` stands for one that the URL does not hold. Raises ValueError for any other URL.
    Safe to share between threads; not across a fork.
    """

    def __init__(self, url: str, *, password: str = "") -> None:
        parsed = _parse_url(url)
        if password and parsed.password is None:
            parsed = parsed.set(password=password)
        self.dialect = parsed.get_backend_name()
        self._epoch: int | None = None
        self._may_write: Callable[[], bool] = lambda: True
        #: called when a write finds that a later epoch has begun: this process has to end
        self.on_replaced: Callable[[], None] = lambda: None
        self.name = without_secrets(parsed.render_as_string(hide_password=True))
        options: dict[str, Any] = {"pool_size": 8, "max_overflow": 16}
        if self.dialect == "sqlite":
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            options["connect_args"] = {
                "timeout": _BUSY_TIMEOUT_MS / 1000,
                "check_same_thread": False,
            }
        else:
            options["pool_pre_ping"] = True
            # A database made as SQL_ASCII names no encoding, and its text would come as bytes.
            options["connect_args"] = {"client_encoding": "utf8"}
        self._engine = create_engine(parsed, json_deserializer=read_document, **options)
        if self.dialect == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)

    def take_epoch(self, holder: str, clock: Clock = utc_now) -> int:
        """Begin the next controller's epoch: from now on only its writes are done.

        ``holder`` says who, for the messages of whoever comes too late. Returns the number; every
        later ``write`` of this object is checked against it. Raises StaleControllerError where this
        object held one and was overtaken: it cannot come back.
        """
        with self.write() as connection:
            number = bump_epoch(connection, holder, clock())
        self._epoch = number
        return number

    def write_while(self, may_write: Callable[[], bool]) -> None:
        """From now on every ``write`` asks first, and raises StaleControllerError at a no."""
        self._may_write = may_write

    def require_epoch(self) -> None:
        """Raise StaleControllerError where a later epoch than this object's has begun.

        For a controller that has nothing to write and would not notice. Raises
        StorageUnavailableError.
        """
        with self.read() as connection:
            self._check_epoch(connection)

    def _check_epoch(self, connection: Connection) -> None:
        if self._epoch is None:
            return
        try:
            check_epoch(connection, self._epoch)
        except StaleControllerError:
            self.on_replaced()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; never waits for writers. Raises StorageUnavailableError."""
        with self._failures("read"), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block, rolled back by any exception.

        Waits for the writer before it. Raises StorageUnavailableError; StaleControllerError, having
        written nothing, where this object holds an epoch and a later one has begun, or where it may
        not write (``write_while``).
        """
        if not self._may_write():
            raise StaleControllerError(
                "this process is no longer the controller: nothing was written; it must end"
            )
        with self._failures("write"), self._engine.connect() as connection:
            connection = connection.execution_options(spikefleet_write=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))
                self._check_epoch(connection)
                yield connection

    def migrate(self, clock: Clock = utc_now) -> int:
        """Bring the database to this release's version and return it. Twice is a no-op.

        Several processes may call it at once. Raises SchemaTooNewError, having changed nothing.
        """
        while True:
            with self.write() as connection:
                version = self._current_version(connection)
                pending = [step for step in MIGRATIONS if step.version > version]
                if not pending:
                    return version
                self._apply(connection, pending[0], clock())

    def close(self) -> None:
        """Close every idle connection. The database can be used again afterwards."""
        self._engine.dispose()

    def _current_version(self, connection: Connection) -> int:
        time_type = DIALECT_TYPES[self.dialect]["time"]
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY,"
                f" name TEXT NOT NULL, applied_at {time_type} NOT NULL)"
            )
        )
        found = connection.execute(select(func.max(SCHEMA_VERSION.c.version))).scalar() or 0
        known = MIGRATIONS[-1].version
        if found > known:
            raise SchemaTooNewError(
                f"{self.name} is at schema version {found}, this release knows {known}: start the "
                "release that wrote it, or restore the backup taken before the upgrade"
            )
        return int(found)

    def _apply(self, connection: Connection, step: Migration, now: datetime) -> None:
        for statement in step.statements_for(self.dialect):
            connection.execute(text(statement))
        connection.execute(
            SCHEMA_VERSION.insert().values(version=step.version, name=step.name, applied_at=now)
        )

    @contextmanager
    def _failures(self, operation: str) -> Iterator[None]:
        try:
            yield
        except _OUR_MISTAKES:
            raise
        except DBAPIError as error:
            raise StorageUnavailableError(
                f"the database {self.name} refused a {operation}: {error.orig}",
                store=self.name,
                operation=operation,
            ) from error


def _parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: what the library says may quote a part of the password.
        raise ValueError(
            f"{without_secrets(url)!r} is not a database URL, for example sqlite:////path/db"
        ) from None
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ValueError(f"{backend} is not a known database: use sqlite:// or postgresql://")
    if parsed.database in {None, "", ":memory:"}:
        raise ValueError("state must survive a restart: name a file, sqlite:////path/to/state.db")
    return parsed.set(drivername="sqlite+pysqlite")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin_sqlite says which kind it is.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # Changing the journal mode does not honour busy_timeout while another process changes it too.
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another wrote meanwhile;
    # BEGIN IMMEDIATE waits its turn instead.
    writes = connection.get_execution_options().get("spikefleet_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
