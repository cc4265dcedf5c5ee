"""The run store on SQLite and on a real PostgreSQL server: the same tests, the same answers."""

from pathlib import Path

import pytest
from tests.contracts.run_store import RunStoreContract
from tests.contracts.run_store_attempts import AttemptContract
from tests.contracts.run_store_curations import CurationContract
from tests.contracts.run_store_epochs import EpochContract
from tests.contracts.run_store_history import RunHistoryContract
from tests.contracts.run_store_leases import LeaseContract
from tests.contracts.run_store_queue import QueueContract
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]  # fixtures


class _OnSqlite:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'state.db'}"


class _OnPostgres:
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestRunStoreOnSqlite(_OnSqlite, RunStoreContract):
    pass


class TestRunStoreOnPostgres(_OnPostgres, RunStoreContract):
    pass


class TestAttemptsOnSqlite(_OnSqlite, AttemptContract):
    pass


class TestAttemptsOnPostgres(_OnPostgres, AttemptContract):
    pass


class TestEpochsOnSqlite(_OnSqlite, EpochContract):
    pass


class TestEpochsOnPostgres(_OnPostgres, EpochContract):
    pass


class TestRunHistoryOnSqlite(_OnSqlite, RunHistoryContract):
    pass


class TestRunHistoryOnPostgres(_OnPostgres, RunHistoryContract):
    max_examples = 10


class TestLeasesOnSqlite(_OnSqlite, LeaseContract):
    pass


class TestLeasesOnPostgres(_OnPostgres, LeaseContract):
    max_examples = 15


class TestQueueOnSqlite(_OnSqlite, QueueContract):
    pass


class TestQueueOnPostgres(_OnPostgres, QueueContract):
    pass


class TestCurationsOnSqlite(_OnSqlite, CurationContract):
    pass


class TestCurationsOnPostgres(_OnPostgres, CurationContract):
    pass
