"""Outcomes as series: every end is counted once, with its cause and what was decided."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.controlled import Controlled, answering

from spikefleet.controller.outcome_counts import OutcomeCounts, store_gauges
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import RunState
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.sql.database import utc_now

PLUGIN_MISSING = StageResult(failure=Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin."))


def lines(text: str, name: str) -> set[str]:
    return {line for line in text.splitlines() if line.startswith(name)}


def test_every_end_of_an_attempt_and_of_a_run_is_counted(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, "die,succeed")
    controlled.finish(controlled.submit())
    text = controlled.metrics.render()
    expected = {
        ("none", "next", "preflight"),
        ("lost", "retry_same", "sort"),
        ("none", "next", "sort"),
        ("none", "next", "curate"),
        ("none", "end", "report"),
    }
    assert lines(text, "spikefleet_attempts_ended_total") == {
        f'spikefleet_attempts_ended_total{{backend="kilosort4",code="{code}",'
        f'decision="{decision}",stage="{stage}"}} 1.0'
        for code, decision, stage in expected
    }
    assert lines(text, "spikefleet_runs_ended_total") == {
        'spikefleet_runs_ended_total{backend="kilosort4",status="success"} 1.0'
    }
    assert 'spikefleet_queue_wait_seconds_count{backend="kilosort4"} 1.0' in text
    assert 'spikefleet_stage_duration_seconds_count{backend="kilosort4",stage="sort"} 2.0' in text
    assert 'spikefleet_run_duration_seconds_count{backend="kilosort4",status="success"} 1.0' in text
    controlled.close()


def test_runs_by_state_and_held_lanes_are_read_from_the_store(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, call=answering({(Stage.PREFLIGHT, 1): PLUGIN_MISSING}))
    controlled.finish(controlled.submit())
    controlled.metrics.collect_from(store_gauges(controlled.runs))
    text = controlled.metrics.render()
    assert 'spikefleet_runs{state="held"} 1.0' in text
    assert 'spikefleet_runs{state="queued"} 0.0' in text
    assert 'spikefleet_lanes_held{lane="hdf5-plugin"} 1.0' in text
    controlled.close()


def test_attempts_under_way_are_told_with_what_they_run_on(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, "sleep")
    controlled.submit()
    controlled.metrics.collect_from(store_gauges(controlled.runs))
    controlled.drive(lambda: any(live.stage == "sort" for live in controlled.runs.live_counts()))
    series = (
        'spikefleet_attempts_live{backend="kilosort4",device="gpu",phase="running",stage="sort"}'
    )
    assert f"{series} 1.0" in controlled.metrics.render()
    controlled.close()


@pytest.mark.parametrize(
    ("told", "waited_s"),
    [
        ({"wall_s": 600.0}, 3900.0),
        ({}, 900.0),
        ({"wall_s": 0.0}, 900.0),
        ({"wall_s": 1e30}, 900.0),
        ({"wall_s": float("nan")}, 900.0),
        ({"wall_s": "long"}, 900.0),
    ],
)
def test_a_run_waits_until_its_sort_runs_and_not_until_it_is_started(
    tmp_path: Path, told: dict[str, Any], waited_s: float
) -> None:
    """Started after 15 minutes, ended an hour later, of which the sort took ten minutes."""
    controlled = Controlled(tmp_path)
    run, attempt = controlled.runs.intend_attempt(
        controlled.runs.get_run(controlled.submit()), Stage.SORT
    )
    attempt = replace(attempt, created_at=run.created_at + timedelta(seconds=900))
    metrics = Metrics()
    counts = OutcomeCounts(metrics, lambda: attempt.created_at + timedelta(seconds=3600))
    counts.sort_ended(run, attempt, told)
    counts.sort_ended(run, replace(attempt, number=2), told)
    text = metrics.render()
    assert f'spikefleet_queue_wait_seconds_sum{{backend="kilosort4"}} {waited_s}' in text
    assert 'spikefleet_queue_wait_seconds_count{backend="kilosort4"} 1.0' in text
    controlled.close()


def test_recorded_time_counts_when_its_sort_is_finished(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path)
    run = controlled.runs.get_run(controlled.submit())
    metrics = Metrics()
    counts = OutcomeCounts(metrics, utc_now)
    for duration_s in (600.0, None, 30.5):
        counts.recording_sorted(run, duration_s)
    series = 'spikefleet_sorted_recording_seconds_total{backend="kilosort4"}'
    assert f"{series} 630.5" in metrics.render()
    controlled.finish(run.run_id)
    assert series in controlled.metrics.render()
    controlled.close()


def test_what_the_machine_noticed_and_how_the_trial_went_are_counted(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path)
    run = controlled.runs.get_run(controlled.submit())
    counts = OutcomeCounts(controlled.metrics, controlled.clock)
    outcome = {
        "node": {"findings": [{"level": "warn", "code": "low_vram"}]},
        "canary": {"state": "inconclusive"},
    }
    _, attempt = controlled.runs.intend_attempt(run, Stage.SORT)
    counts.sort_ended(run, attempt, outcome)
    counts.sort_ended(run, attempt, {})
    text = controlled.metrics.render()
    assert lines(text, "spikefleet_node_findings_total") == {
        'spikefleet_node_findings_total{backend="kilosort4",finding="low_vram",level="warn"} 1.0'
    }
    assert lines(text, "spikefleet_canaries_ended_total") == {
        'spikefleet_canaries_ended_total{backend="kilosort4",state="inconclusive"} 1.0'
    }
    controlled.close()


def test_ends_of_earlier_services_are_counted_from_the_history(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, "fail:sorter_crash,succeed")
    run = controlled.finish(controlled.submit())
    cancelled = controlled.submit("b")
    controlled.wishes.cancel(cancelled, "")
    controlled.finish(cancelled)
    counted = {line for line in controlled.metrics.render().splitlines() if "ended_total{" in line}
    fresh = Metrics()
    OutcomeCounts(fresh, utc_now).restore(controlled.runs.end_counts())
    shown = fresh.render().splitlines()
    restored = {line for line in shown if "ended_total{" in line and not line.endswith(" 0.0")}
    assert run.state is RunState.SUCCEEDED
    assert any('status="success"' in line for line in restored)
    assert any('status="cancelled"' in line for line in restored)
    assert any('decision="retry_same"' in line for line in restored)
    # A report's own attempt ends the run and is told by that alone.
    assert {line for line in counted if 'stage="report"' not in line} == restored
    controlled.close()
