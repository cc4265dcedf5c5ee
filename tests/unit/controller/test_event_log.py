"""The service's log of what happens to runs."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled, answering

from spikefleet.controller.event_log import EventLog
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure

NO_PLUGIN = StageResult(failure=Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin."))


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Controlled]:
    made = Controlled(tmp_path)
    yield made
    made.close()


LOGGER = "spikefleet.controller.event_log"


def told_by(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Its own lines: a launcher that was set to tell more has lines of its own."""
    return [record for record in caplog.records if record.name == LOGGER]


def test_every_event_of_a_run_is_one_line_with_its_ids(
    controlled: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    tell = EventLog(controlled.runs)
    run = controlled.finish(controlled.submit())
    with caplog.at_level(logging.INFO, LOGGER):
        tell()
        tell()
    kinds = [event.kind for event in controlled.runs.events(run.run_id)]
    assert [record.message for record in told_by(caplog)] == kinds
    assert {record.__dict__["run_id"] for record in told_by(caplog)} == {run.run_id}
    last = told_by(caplog)[-1].__dict__
    assert (last["to_state"], last["status"]) == ("succeeded", "success")


def test_a_hold_is_a_warning_with_lane_code_and_reason(
    controlled: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    controlled.call = answering({(Stage.PREFLIGHT, 1): NO_PLUGIN})
    controlled.rebuild()
    tell = EventLog(controlled.runs)
    controlled.finish(controlled.submit())
    with caplog.at_level(logging.INFO, LOGGER):
        tell()
    (told,) = [r for r in told_by(caplog) if r.message == "decision.hold"]
    assert told.levelno == logging.WARNING
    assert told.__dict__["code"] == "hdf5_plugin_missing"
    assert told.__dict__["reason"]
    assert told.__dict__["to_state"] == "held"


def test_what_happened_before_is_not_told_again(
    controlled: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    controlled.finish(controlled.submit())
    with caplog.at_level(logging.INFO, LOGGER):
        EventLog(controlled.runs)()
    assert told_by(caplog) == []
