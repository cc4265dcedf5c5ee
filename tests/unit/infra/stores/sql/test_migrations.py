"""What a migrated database holds, and who may touch it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from tests.support.postgres import PostgresServer, postgres_server, postgres_url

from spikefleet.infra.stores.sql.database import Database, SchemaTooNewError, utc_now
from spikefleet.infra.stores.sql.migrations import MIGRATIONS
from spikefleet.infra.stores.sql.tables import METADATA, SCHEMA_VERSION

__all__ = ["postgres_server", "postgres_url"]  # fixtures

MIGRATE = """
import sys
from spikefleet.infra.stores.sql.database import Database
print(Database(sys.argv[1]).migrate())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
    else:
        yield request.getfixturevalue("postgres_url")


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [step.version for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_migrated_database_holds_the_tables_of_the_code(url: str) -> None:
    database = Database(url)
    assert database.migrate() == MIGRATIONS[-1].version
    database.close()
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    found = inspect(engine)
    assert set(found.get_table_names()) == set(METADATA.tables)
    for name, table in METADATA.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}, name
        key = found.get_pk_constraint(name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key.columns], name
    engine.dispose()


def test_migrating_twice_changes_nothing(url: str) -> None:
    database = Database(url)
    assert database.migrate() == database.migrate() == MIGRATIONS[-1].version
    database.close()


def test_many_processes_may_migrate_at_once(url: str) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for starter in starters:
        out, err = starter.communicate(timeout=120)
        assert (starter.returncode, out.decode().strip()) == (0, str(MIGRATIONS[-1].version)), err


def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    database = Database(url)
    database.migrate()
    newer = MIGRATIONS[-1].version + 1
    with database.write() as connection:
        connection.execute(
            SCHEMA_VERSION.insert().values(version=newer, name="later", applied_at=utc_now())
        )
    with pytest.raises(SchemaTooNewError, match=f"version {newer}"):
        database.migrate()
    with database.read() as connection:
        assert connection.execute(text("SELECT max(version) FROM schema_version")).scalar() == newer
    database.close()


def test_a_step_that_fails_leaves_no_half_of_itself(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE upload (x INTEGER)"))
    # The second statement of the first step meets the table that is in its way.
    with pytest.raises(Exception, match="upload"):
        database.migrate()
    with database.read() as connection:
        assert not inspect(connection).has_table("recording")
    with database.write() as connection:
        connection.execute(text("DROP TABLE upload"))
    assert database.migrate() == MIGRATIONS[-1].version
    database.close()


def test_a_database_made_without_an_encoding_keeps_every_word(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.fresh_database(encoding="SQL_ASCII") as url:
        database = Database(url)
        database.migrate()
        with database.read() as connection:
            assert connection.execute(text("SELECT :word"), {"word": "5 µV"}).scalar_one() == "5 µV"
        database.close()
