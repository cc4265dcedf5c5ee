"""Whoever wrote an outcome.json: what is taken from it can be recorded, counted and shown."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.runs import make_run

from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.controller.outcome_documents import read_outcome
from spikefleet.core.attempts import AttemptOutcome, AttemptState, Stage
from spikefleet.core.runs import Attempt
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.sql.database import utc_now

ATTEMPT = "attempt-1"
SOUND = AttemptOutcome(
    ATTEMPT,
    0,
    n_units=12,
    n_spikes=3456,
    duration_s=60.0,
    peaks={"usage.memory_bytes": 5.0, "disk.free_bytes": 3},
    thresholds={"disk.free_bytes": 1},
    timings_s={"sort": 2.5},
    versions={"kilosort": "4.1"},
    wall_s=3.5,
    node={"findings": [{"code": "low_ephemeral", "level": "warn", "measured": 1}], "facts": {}},
    canary={"state": "inconclusive", "changes": {"sorter_params": {"batch_size": 3}, "n_jobs": 2}},
    blind_guards={"gpu": "no driver"},
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)
ENDED = Attempt(ATTEMPT, "run-1", Stage.SORT, 1, "s", AttemptState.RUNNING, {}, utc_now())
KEYS = tuple(SOUND.to_json())


def test_a_sound_outcome_is_read_as_it_was_written() -> None:
    assert read_outcome(json.loads(json.dumps(SOUND.to_json())), ATTEMPT) == SOUND


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(st.dictionaries(st.sampled_from(KEYS), ANY_JSON, min_size=1, max_size=4))
def test_hostile_fields_leave_nothing_that_cannot_be_recorded_or_counted(
    fields: dict[str, Any],
) -> None:
    found = read_outcome({**SOUND.to_json(), **fields}, ATTEMPT)
    if found is None:
        return
    document = found.to_json()
    json.dumps(document, allow_nan=False)
    counts = OutcomeCounts(Metrics(), utc_now)
    counts.sort_ended(make_run(), ENDED, document)
    counts.recording_sorted(make_run(), found.duration_s)
    dict((document["canary"].get("changes") or {}).get("sorter_params") or {})


@pytest.mark.parametrize(
    "fields",
    [
        {"exit_code": True},
        {"exit_code": 1e3},
        {"attempt_id": "another"},
        {"peaks": ["no", "table"]},
        {"version": 2},
        {"surplus": 1},
        {"failure": {"code": "no such code"}},
    ],
    ids=repr,
)
def test_what_decides_must_be_sound_or_the_whole_is_no_evidence(fields: dict[str, Any]) -> None:
    assert read_outcome({**SOUND.to_json(), **fields}, ATTEMPT) is None
    assert read_outcome(None, ATTEMPT) is None


def test_words_of_a_pod_become_labels_only_where_they_are_known() -> None:
    metrics = Metrics()
    hostile = [{"code": f"made-up-{number}", "level": "x" * 99} for number in range(50)]
    document = {"node": {"findings": hostile}, "canary": {"state": "made-up"}}
    OutcomeCounts(metrics, utc_now).sort_ended(make_run(), ENDED, document)
    text = metrics.render()
    assert "made-up" not in text
    assert 'finding="other",level="other"} 50.0' in text
