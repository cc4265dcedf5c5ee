"""What the controller is asked to do survives the way to a message and back."""

from datetime import UTC, datetime

import pytest

from spikefleet.api.v1 import controller_pb2, ingest_pb2
from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.wishes import BatchAnswer, RetryWish
from spikefleet.core.runs import Hold
from spikefleet.core.submissions import Submission
from spikefleet.infra.rpc.convert.wishes import (
    from_hold,
    from_made,
    from_retry,
    from_submit,
    to_hold,
    to_made,
    to_retry,
    to_submit,
)


def test_a_submission_survives_and_is_its_senders():
    sent = Submission(("rec-1",), "lupin", {"snr_min": 6}, ("w0",), "k", "anna", "day", True)
    read = from_submit(to_submit(sent), "uid:7")
    assert (read.owner, read.preset, read.overrides) == ("uid:7", "lupin", {"snr_min": 6})
    assert read == Submission(**{**vars(sent), "owner": "uid:7"})


@pytest.mark.parametrize("stage", [None, *Stage])
def test_a_run_to_start_again_survives(stage):
    wish = RetryWish("run-1", stage, {"snr_min": 6}, "uid:7", force=True)
    assert from_retry(to_retry(wish), "uid:7") == wish


@pytest.mark.parametrize(
    "response", [controller_pb2.CreateBatchResponse, ingest_pb2.SubmitResponse]
)
def test_what_was_made_and_what_was_there_survive(response):
    answer = BatchAnswer("batch-1", (), "nothing yet", ("run-1", "run-2"), ("run-2",))
    assert from_made(to_made(answer, response)) == answer


def test_a_hold_survives():
    hold = Hold("lupin", "no plugin", 3, datetime(2026, 11, 20, tzinfo=UTC))
    assert from_hold(to_hold(hold)) == hold
