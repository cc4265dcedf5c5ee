"""Connections and transactions: what they promise and how they refuse."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.sql.database import Database, utc_now
from spikefleet.infra.stores.sql.tables import SCHEMA_VERSION, clean_document, clean_text


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'state.db'}")
    database.migrate()
    yield database
    database.close()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://host/db", "mysql"),
        ("not a url", "not a database URL"),
        ("sqlite://", "survive a restart"),
        ("sqlite:///:memory:", "survive a restart"),
    ],
)
def test_a_url_that_cannot_keep_state_is_refused(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Database(url)


@pytest.mark.parametrize("url", ["postgresql//ann:s3cret@db", "postgresql://ann:s3cret@db:port/x"])
def test_a_refused_url_shows_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="not a database URL") as told:
        Database(url)
    assert "s3cret" not in str(told.value)


def test_a_commit_survives_the_machine(database: Database) -> None:
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_an_exception_rolls_everything_back(database: Database) -> None:
    def write_and_stop() -> None:
        with database.write() as connection:
            connection.execute(
                SCHEMA_VERSION.insert().values(version=900, name="x", applied_at=utc_now())
            )
            raise KeyError("stop")

    with pytest.raises(KeyError):
        write_and_stop()
    with database.read() as connection:
        assert connection.execute(text("SELECT max(version) FROM schema_version")).scalar() < 900


def test_a_reader_sees_one_moment_while_others_write(database: Database) -> None:
    count = text("SELECT count(*) FROM schema_version")
    with database.read() as reader:
        before = reader.execute(count).scalar()
        with database.write() as writer:
            writer.execute(
                SCHEMA_VERSION.insert().values(version=0, name="x", applied_at=utc_now())
            )
        assert reader.execute(count).scalar() == before
    with database.read() as reader:
        assert reader.execute(count).scalar() != before


def test_writers_wait_for_each_other_instead_of_failing(database: Database) -> None:
    add = text("UPDATE schema_version SET name = name || 'x' WHERE version = 1")

    def write() -> None:
        for _ in range(5):
            with database.write() as connection:
                connection.execute(text("SELECT name FROM schema_version")).all()
                time.sleep(0.002)
                connection.execute(add)

    with database.write() as connection:
        connection.execute(text("UPDATE schema_version SET name = '' WHERE version = 1"))
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        name = connection.execute(text("SELECT name FROM schema_version WHERE version = 1"))
        assert name.scalar() == "x" * 20


def test_an_unreachable_server_is_a_storage_failure_without_its_password() -> None:
    database = Database("postgresql://me:secret@127.0.0.1:9/none?connect_timeout=2")
    with pytest.raises(StorageUnavailableError) as caught, database.read():
        pass
    assert "secret" not in str(caught.value)
    assert caught.value.evidence["operation"] == "read"


def test_a_file_that_is_no_database_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StorageUnavailableError, match=r"state\.db"):
        Database(f"sqlite:///{tmp_path / 'state.db'}").migrate()


def test_times_keep_their_moment_and_naive_ones_are_refused(
    database: Database, tmp_path: Path
) -> None:
    noon_in_basel = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as connection:
        connection.execute(
            SCHEMA_VERSION.insert().values(version=0, name="x", applied_at=noon_in_basel)
        )
        stored = connection.execute(
            SCHEMA_VERSION.select().where(SCHEMA_VERSION.c.version == 0)
        ).one()
    assert stored.applied_at == noon_in_basel
    assert stored.applied_at.tzinfo is UTC
    with sqlite3.connect(tmp_path / "deep" / "state.db") as raw:
        [(text_form,)] = raw.execute("SELECT applied_at FROM schema_version WHERE version = 0")
    raw.close()
    assert text_form == "2026-07-01 10:00:00.000000"
    with pytest.raises(Exception, match="no time zone"), database.write() as connection:
        connection.execute(
            SCHEMA_VERSION.insert().values(version=-1, name="x", applied_at=datetime(2026, 1, 1))
        )


def test_any_evidence_can_be_stored() -> None:
    document = {
        "nan": float("nan"),
        "inf": [float("inf"), 1.5, (1, 2)],
        "log": "a\x00b\udcff",
        3: Path("a") / "b",
        "deep": {"flag": True, "none": None},
    }
    assert clean_document(document) == {
        "nan": None,
        "inf": [None, 1.5, [1, 2]],
        "log": "a\ufffdb?",
        "3": "a/b",
        "deep": {"flag": True, "none": None},
    }
    assert clean_text("µV stays") == "µV stays"
