"""What the records keep of curations, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.contracts.run_store import new_run

from spikefleet.core.attempts import Stage
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import RunCuration
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.stores.sql.curations import CurationNameTakenError, CurationStore
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_values import NewBatch
from spikefleet.infra.stores.sql.runs import RunStore

NOW = datetime(2026, 11, 28, 18, 0, tzinfo=UTC)


def curation(run_id: RunId, number: int, name: str) -> RunCuration:
    curation_id = f"cur-{number:016x}"
    return RunCuration(
        run_id=run_id,
        curation_id=curation_id,
        name=name,
        kind="settings",
        settings={"curation.snr_min": 4.0},
        curator="ada",
        owner="uid:1000",
        created_at=NOW,
        sort_prefix="runs/run-1/attempts/sort-1",
        n_sorted=5,
        n_curated=3,
        prefix=AttemptPlace(run_id, Stage.CURATE, curation=curation_id).prefix,
    )


class CurationContract:
    """Subclasses give the fixture ``url`` of an empty database."""

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        database.migrate()
        yield database
        database.close()

    def test_curations_are_kept_in_order_and_never_replaced(self, database: Database) -> None:
        runs, kept = RunStore(database), CurationStore(database, lambda: NOW)
        run_id = runs.create_batch(NewBatch("ada", "", "", (new_run("a"),))).run_ids[0]
        first, second = curation(run_id, 1, "loose"), curation(run_id, 2, "strict")
        assert kept.add(first) == first
        assert kept.add(second) == second
        assert kept.add(replace(first, name="again", n_curated=99)) == first
        with pytest.raises(CurationNameTakenError, match="another curation called 'strict'"):
            kept.add(curation(run_id, 3, "strict"))
        kept.choose(run_id, second.curation_id, "strict", "ada")
        kept.choose(run_id, second.curation_id, "strict", "ada")
        kept.set_report(first.curation_id, "runs/x/report.html")
        assert kept.of_run(run_id) == [
            replace(first, report_html="runs/x/report.html"),
            replace(second, is_chosen=True),
        ]
        kept.choose(run_id, "", "first", "ada")
        assert [one.is_chosen for one in kept.of_run(run_id)] == [False, False]
        kinds = [event.kind for event in runs.events(run_id)]
        assert kinds == ["run.created", *["curation.made"] * 2, *["curation.chosen"] * 2]
