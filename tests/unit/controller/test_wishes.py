"""What a person asks for: which runs are one, where a retry starts, how a batch is summed up."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.controlled import Controlled
from tests.support.runs import make_run

from spikefleet.controller.wishes import _still_going, summarise
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.config import resolve
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure, InvalidConfigurationError
from spikefleet.core.rooms.wishes import BatchWish, RetryWish
from spikefleet.core.runs import IllegalMoveError, Run, RunState
from spikefleet.infra.stores.sql.recordings import RecordingNotFoundError
from spikefleet.infra.stores.sql.runs import AttemptEnd, RunChanges

BROKEN = Failure(FailureCode.SORTER_CRASH, "It broke.")


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Controlled]:
    made = Controlled(tmp_path)
    yield made
    made.close()


def config(**overrides: object) -> SortingConfig:
    return resolve("kilosort4", overrides)


def ended(controlled: Controlled, run: Run, stage: Stage, end: AttemptEnd) -> Run:
    """Let an attempt of the stage end so."""
    started, attempt = controlled.runs.intend_attempt(run, stage)
    return controlled.runs.finish_attempt(started, attempt, end)


def failed_at(controlled: Controlled, stage: Stage, **result: object) -> Run:
    """A run whose last failure was in ``stage`` and that has its report."""
    run = controlled.runs.get_run(controlled.submit())
    ending = {"state": "failed", "status": "failed"}
    started, attempt = controlled.runs.intend_attempt(run, stage)
    changes = RunChanges(
        stage=Stage.REPORT,
        failed_attempt=attempt.attempt_id,
        result={"ending": ending, "preflight": {}, **result},
    )
    end = AttemptEnd(AttemptState.FAILED, RunState.QUEUED, "decision.fail", failure=BROKEN)
    run = controlled.runs.finish_attempt(started, attempt, replace(end, changes=changes))
    done = AttemptEnd(AttemptState.SUCCEEDED, RunState.FAILED, "run.ended")
    return ended(controlled, run, Stage.REPORT, done)


def test_the_same_twice_is_one_run(controlled: Controlled) -> None:
    wish = BatchWish([(controlled.recording("a"), "w0")], config())
    first, second = controlled.wishes.create_batch(wish), controlled.wishes.create_batch(wish)
    assert first.run_ids == second.run_ids == second.existing_run_ids
    assert first.existing_run_ids == ()


def test_one_recording_named_twice_in_a_batch_is_one_run(controlled: Controlled) -> None:
    streams = [(controlled.recording("a"), "w0")] * 2
    batch = controlled.wishes.create_batch(BatchWish(streams, config()))
    assert len(set(batch.run_ids)) == 1
    assert batch.existing_run_ids == ()


def test_the_same_key_is_the_same_batch(controlled: Controlled) -> None:
    wish = BatchWish([(controlled.recording("a"), "w0")], config(), idempotency_key="k")
    other = replace(wish, streams=[(controlled.recording("b"), "w0")])
    assert (
        controlled.wishes.create_batch(wish).batch_id
        == controlled.wishes.create_batch(other).batch_id
    )


@pytest.mark.parametrize(
    ("stream", "overrides"), [("w1", {}), ("w0", {"snr_min": 9.0}), ("w0", {"freq_min": 400.0})]
)
def test_another_stream_or_configuration_is_another_run(
    controlled: Controlled, stream: str, overrides: dict[str, object]
) -> None:
    recording = controlled.recording("a")
    one = controlled.wishes.create_batch(BatchWish([(recording, "w0")], config()))
    two = controlled.wishes.create_batch(BatchWish([(recording, stream)], config(**overrides)))
    assert one.run_ids != two.run_ids


def test_a_curation_threshold_keeps_the_sort_and_a_filter_does_not(controlled: Controlled) -> None:
    base, curated, filtered = (
        controlled.runs.get_run(controlled.submit("a", **overrides)).sort_digest
        for overrides in ({}, {"snr_min": 9.0}, {"freq_min": 400.0})
    )
    assert base == curated
    assert base != filtered


def test_recordings_that_were_missing_are_never_the_same(controlled: Controlled) -> None:
    streams = [(controlled.recording(name, missing=True), "w0") for name in ("a", "b")]
    batch = controlled.wishes.create_batch(BatchWish(streams, config()))
    runs = [controlled.runs.get_run(run_id) for run_id in batch.run_ids]
    assert len({run.run_id for run in runs}) == len({run.sort_digest for run in runs}) == 2


def test_a_batch_of_nothing_an_unknown_recording_or_a_bad_value_writes_nothing(
    controlled: Controlled,
) -> None:
    recording = controlled.recording("a")
    with pytest.raises(InvalidConfigurationError, match="at least one"):
        controlled.wishes.create_batch(BatchWish([], config()))
    with pytest.raises(RecordingNotFoundError):
        controlled.wishes.create_batch(BatchWish([(recording, ""), ("none", "")], config()))
    broken = config(sorter_name="nonesuch")
    with pytest.raises(InvalidConfigurationError):
        controlled.wishes.create_batch(BatchWish([(recording, "")], broken))
    assert controlled.runs.moving_runs(controlled.clock()) == []


def test_a_run_under_way_is_not_started_again(controlled: Controlled) -> None:
    run_id = controlled.submit()
    with pytest.raises(IllegalMoveError, match="has not ended"):
        controlled.wishes.retry(RetryWish(run_id))


def test_a_run_being_cancelled_says_so_when_it_is_asked_for_again() -> None:
    said = _still_going(make_run(cancel_requested=True))
    assert said == "Run run-0123456789abcdef is being cancelled; that takes a moment."


@pytest.mark.parametrize("stage", [Stage.PREFLIGHT, Stage.SORT, Stage.CURATE])
def test_a_failed_run_starts_again_where_it_failed(controlled: Controlled, stage: Stage) -> None:
    result = {"sort_prefix": "p"} if stage is Stage.CURATE else {}
    run = controlled.wishes.retry(RetryWish(failed_at(controlled, stage, **result).run_id))
    assert (run.state, run.stage, run.failure, run.status) == (RunState.QUEUED, stage, None, None)
    assert "ending" not in run.result
    assert run.result["attempts_before"] == {
        str(s): int(s in (stage, Stage.REPORT)) for s in list(Stage)[list(Stage).index(stage) :]
    }


def test_only_a_sort_that_exists_or_was_named_is_made_afresh(controlled: Controlled) -> None:
    run = failed_at(controlled, Stage.SORT)
    assert controlled.wishes.retry(RetryWish(run.run_id)).result["fresh_sort"] is False
    run = failed_at_again(controlled, run.run_id)
    assert controlled.wishes.retry(RetryWish(run.run_id, Stage.SORT)).result["fresh_sort"] is True


def failed_at_again(controlled: Controlled, run_id: str) -> Run:
    run = controlled.runs.get_run(run_id)
    end = AttemptEnd(AttemptState.FAILED, RunState.FAILED, "decision.fail", failure=BROKEN)
    return ended(controlled, run, Stage.SORT, end)


def test_what_the_redone_stages_made_is_dropped_and_the_rest_kept(controlled: Controlled) -> None:
    made = {
        "sort_prefix": "s",
        "params": {"n_jobs": 1},
        "result_affecting": True,
        "curation_prefix": "c",
        "report_prefix": "r",
    }
    run = failed_at(controlled, Stage.CURATE, **made)
    curated = controlled.wishes.retry(RetryWish(run.run_id, Stage.CURATE)).result
    assert curated["sort_prefix"] == "s"
    assert curated["result_affecting"] is True
    assert not {"curation_prefix", "report_prefix"} & set(curated)
    again = failed_at_again(controlled, run.run_id)
    sorted_again = controlled.wishes.retry(RetryWish(again.run_id, Stage.SORT)).result
    assert not set(made) & set(sorted_again)


def test_a_cancelled_run_starts_where_it_was_left(controlled: Controlled) -> None:
    run = controlled.runs.get_run(controlled.submit())
    end = AttemptEnd(AttemptState.FAILED, RunState.QUEUED, "again", failure=BROKEN)
    run = ended(controlled, run, Stage.PREFLIGHT, end)
    done = AttemptEnd(
        AttemptState.SUCCEEDED, RunState.QUEUED, "done", changes=RunChanges(stage=Stage.SORT)
    )
    run = ended(controlled, run, Stage.PREFLIGHT, done)
    controlled.wishes.cancel(run.run_id, "enough")
    run = controlled.runs.get_run(run.run_id)
    controlled.runs.move_run(run, RunState.CANCELLED, kind="run.cancelled")
    again = controlled.wishes.retry(RetryWish(run.run_id))
    assert (again.stage, again.cancel_requested) == (Stage.SORT, False)


def test_a_held_run_has_nothing_to_report(controlled: Controlled) -> None:
    run = controlled.runs.get_run(controlled.submit())
    controlled.runs.move_run(run, RunState.HELD, kind="run.held")
    with pytest.raises(IllegalMoveError, match="nothing to report"):
        controlled.wishes.retry(RetryWish(run.run_id, Stage.REPORT))


def test_a_retry_with_other_values_is_another_run(controlled: Controlled) -> None:
    run = failed_at(controlled, Stage.SORT)
    other = controlled.wishes.retry(RetryWish(run.run_id, None, {"snr_min": 9.0}))
    assert other.run_id != run.run_id
    assert (other.state, other.stage) == (RunState.QUEUED, Stage.PREFLIGHT)
    assert controlled.runs.get_run(run.run_id) == run
    assert (
        controlled.wishes.retry(RetryWish(run.run_id, None, {"snr_min": 9.0})).run_id
        == other.run_id
    )


def test_a_batch_is_summed_up_in_one_honest_sentence() -> None:
    skipped = RunState.SKIPPED
    runs = [
        make_run(state=RunState.SUCCEEDED),
        make_run(state=RunState.SUCCEEDED),
        make_run(state=skipped, status=RunStatus.UNSORTABLE),
        make_run(state=skipped, status=RunStatus.INPUT_ERROR),
        make_run(state=skipped, status=RunStatus.SORTER_TIMEOUT),
        make_run(state=RunState.FAILED),
        make_run(state=RunState.CANCELLED),
        make_run(state=RunState.HELD),
        make_run(state=RunState.WAITING),
        make_run(state=RunState.QUEUED),
    ]
    assert summarise(runs) == (
        "2 success, 1 unsortable, 1 input_error, 2 failed, 1 cancelled, 1 held, 2 under way"
    )
    assert summarise([]) == ""


def test_what_was_cancelled_or_ended_by_its_input_starts_again_when_it_is_submitted_again(
    controlled: Controlled,
) -> None:
    run_id = controlled.submit("a")
    controlled.wishes.cancel(run_id, "a mistake")
    assert controlled.finish(run_id).state is RunState.CANCELLED
    wish = BatchWish([(controlled.recording("a"), "")], config(), idempotency_key="k")
    again = controlled.wishes.create_batch(wish)
    assert again.existing_run_ids == again.restarted_run_ids == (run_id,)
    assert controlled.finish(run_id).state is RunState.SUCCEEDED
    assert controlled.wishes.create_batch(wish).restarted_run_ids == ()
    later = controlled.wishes.create_batch(BatchWish(wish.streams, wish.config))
    assert (later.existing_run_ids, later.restarted_run_ids) == ((run_id,), ())


def test_a_call_made_twice_starts_a_run_again_once(controlled: Controlled) -> None:
    run_id = controlled.submit("a")
    controlled.wishes.cancel(run_id, "")
    controlled.finish(run_id)
    wish = BatchWish([(controlled.recording("a"), "")], config(), idempotency_key="k")
    assert controlled.wishes.create_batch(wish).restarted_run_ids == (run_id,)
    controlled.wishes.cancel(run_id, "again")
    controlled.finish(run_id)
    assert controlled.wishes.create_batch(wish).restarted_run_ids == ()
    assert controlled.runs.get_run(run_id).state is RunState.CANCELLED


def test_what_ended_badly_for_another_is_a_run_of_ones_own_and_the_others_stays_as_it_was(
    controlled: Controlled,
) -> None:
    streams = [(controlled.recording("a"), "")]
    (theirs,) = controlled.wishes.create_batch(BatchWish(streams, config(), owner="a")).run_ids
    controlled.wishes.cancel(theirs, "a mistake")
    assert controlled.finish(theirs).state is RunState.CANCELLED
    before = controlled.runs.events(theirs)
    mine = controlled.wishes.create_batch(BatchWish(streams, config(), owner="b"))
    assert (mine.existing_run_ids, mine.restarted_run_ids) == ((), ())
    assert mine.run_ids != (theirs,)
    assert controlled.finish(mine.run_ids[0]).state is RunState.SUCCEEDED
    assert controlled.runs.events(theirs) == before
    # From then on it is the one meant, by its owner alone.
    again = controlled.wishes.create_batch(BatchWish(streams, config(), owner="b"))
    assert again.existing_run_ids == again.run_ids == mine.run_ids
    back = controlled.wishes.create_batch(BatchWish(streams, config(), owner="a"))
    assert back.restarted_run_ids == (theirs,)


def test_a_run_that_its_owner_is_giving_up_is_not_joined(controlled: Controlled) -> None:
    streams = [(controlled.recording("a"), "")]
    (theirs,) = controlled.wishes.create_batch(BatchWish(streams, config(), owner="a")).run_ids
    joined = controlled.wishes.create_batch(BatchWish(streams, config(), owner="b"))
    assert joined.run_ids == (theirs,)
    controlled.wishes.cancel(theirs, "")
    own = controlled.wishes.create_batch(BatchWish(streams, config(), owner="b"))
    assert own.run_ids != (theirs,)


def test_a_retry_with_other_values_never_changes_the_run_of_another(controlled: Controlled) -> None:
    streams = [(controlled.recording("a"), "")]
    other = config(snr_min=9.0)
    (theirs,) = controlled.wishes.create_batch(BatchWish(streams, other, owner="a")).run_ids
    (mine,) = controlled.wishes.create_batch(BatchWish(streams, config(), owner="b")).run_ids
    controlled.wishes.cancel(theirs, "")
    controlled.finish(theirs)
    found = controlled.wishes.retry(RetryWish(mine, None, {"snr_min": 9.0}, "b"))
    assert found.run_id not in (mine, theirs)
    assert controlled.runs.get_run(theirs).state is RunState.CANCELLED
