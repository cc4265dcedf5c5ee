"""A batch is written in as many statements as the next, however many runs it has."""

from pathlib import Path

import pytest
from sqlalchemy import event
from tests.contracts.run_store import batch, new_run

from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import RunStore


@pytest.mark.parametrize("known", [True, False])
def test_the_statements_of_a_batch_do_not_grow_with_its_runs(tmp_path: Path, known: bool) -> None:
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.migrate()
    store = RunStore(database)
    asked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    counts = []
    for count in (2, 60):
        wanted = batch(*(new_run(f"{count}-{number}") for number in range(count)))
        if known:
            store.create_batch(wanted)
        event.listen(database._engine, "before_cursor_execute", note)
        made = store.create_batch(wanted)
        event.remove(database._engine, "before_cursor_execute", note)
        counts.append(len(asked))
        asked.clear()
        assert store.get_batch(made.batch_id) == made
        assert made.existing_run_ids == (made.run_ids if known else ())
    database.close()
    assert counts[0] == counts[1]
