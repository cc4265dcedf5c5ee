"""The next attempt's number is one under which there is nothing yet."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.runs import make_run

from spikefleet.controller.attempt_numbers import free_number
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.runs import Attempt, AttemptPlace, Run, attempt_name
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

RUN = make_run(stage=Stage.SORT)


class Away(LocalArtifacts):
    """A store that does not answer."""

    def list_keys(self, prefix: str) -> list[str]:
        raise StorageUnavailableError(f"no answer about {prefix}")


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path)


def attempt(number: int, stage: Stage = Stage.SORT) -> Attempt:
    name = attempt_name(RUN.run_id, stage, number)
    when = datetime(2026, 11, 28, tzinfo=UTC)
    return Attempt("a", RUN.run_id, stage, number, name, AttemptState.FAILED, {}, when)


def stored(store: LocalArtifacts, number: int, run: Run = RUN) -> None:
    prefix = AttemptPlace(run.run_id, run.stage, number).prefix
    store.put_bytes(f"{prefix}/order/1/spec.json", b"{}")


def test_it_follows_the_attempts_of_its_stage_on_record(store: LocalArtifacts) -> None:
    assert free_number(RUN, [], {}, store) == 1
    on_record = [attempt(1), attempt(4), attempt(9, Stage.CURATE)]
    assert free_number(RUN, on_record, {}, store) == 5


def test_a_number_that_the_launcher_knows_is_passed_over(store: LocalArtifacts) -> None:
    seen = {attempt_name(RUN.run_id, Stage.SORT, number) for number in (2, 3)}
    assert free_number(RUN, [attempt(1)], seen, store) == 4


def test_a_number_under_which_something_is_stored_is_passed_over(store: LocalArtifacts) -> None:
    stored(store, 1)
    stored(store, 2)
    assert free_number(RUN, [], {}, store) == 3


def test_a_store_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    store = Away(tmp_path)
    stored(store, 1)
    assert free_number(RUN, [], {}, store) == 1
