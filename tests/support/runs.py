"""Runs as values, for tests about how they are shown. Nothing here is stored or started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from spikefleet.client.views import RunView
from spikefleet.core.attempts import Stage
from spikefleet.core.runs import Run, RunState

CREATED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

_RUN = Run(
    run_id="run-0123456789abcdef",
    batch_id="batch-1",
    recording_id="rec-1",
    stream="well000",
    backend="kilosort4",
    config={"sorter": {"sorter_name": "kilosort4"}},
    config_digest="c" * 64,
    sort_digest="s" * 64,
    identity="i" * 64,
    state=RunState.RUNNING,
    stage=Stage.SORT,
    created_at=CREATED,
    updated_at=CREATED,
    recording_name="default/plate/culture",
)


def make_run(**changes: Any) -> Run:
    """A run in the middle of its sort, changed as told."""
    return replace(_RUN, **changes)


def make_view(**changes: Any) -> RunView:
    """The same, as a client sees it."""
    return RunView(make_run(**changes))
