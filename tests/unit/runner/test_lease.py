"""Leave to write a run, as one process asks for it."""

import time
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.errors import AttemptInterrupted, ConcurrentSortError
from spikefleet.core.runs import LeaseAnswer, LeaseRefusal
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.runner.lease import CLAIM, RunLease, process_name


class AnsweringDesk:
    """Gives the answer it was made with."""

    def __init__(self, answer: LeaseAnswer) -> None:
        self._answer = answer

    def take_lease(self, spec: AttemptSpec) -> LeaseAnswer:
        return self._answer


def lease(place: Path, answer: LeaseAnswer) -> RunLease:
    return RunLease(make_spec(place), LocalArtifacts(place / "artifacts"), AnsweringDesk(answer))


def test_a_process_names_itself_once() -> None:
    assert process_name() == process_name()
    assert len(process_name().split("/")) == 3


@pytest.mark.parametrize("answer", [LeaseAnswer(), LeaseAnswer(is_known=False)])
def test_who_is_not_refused_goes_on_as_often_as_it_asks(
    tmp_path: Path, answer: LeaseAnswer
) -> None:
    mine = lease(tmp_path, answer)
    mine.hold()
    time.sleep(1.1)  # the claim tells seconds: asking later must not look like another process
    mine.hold()
    assert mine.owns_prefix


def test_a_process_that_asks_again_later_finds_its_own_claim(tmp_path: Path) -> None:
    mine = lease(tmp_path, LeaseAnswer())
    mine.hold()
    time.sleep(1.1)  # longer than the claim's time is exact
    mine.hold()
    assert mine.owns_prefix


@pytest.mark.parametrize(
    ("refusal", "owns_prefix"),
    [
        (LeaseRefusal.HELD, True),
        (LeaseRefusal.SUPERSEDED, True),
        (LeaseRefusal.OTHER_PROCESS, False),
    ],
)
def test_a_refusal_names_the_holder(
    tmp_path: Path, refusal: LeaseRefusal, owns_prefix: bool
) -> None:
    refused = lease(tmp_path, LeaseAnswer(refusal, "rig-3/417/abc", 2, 12.34))
    with pytest.raises(ConcurrentSortError, match="rig-3/417/abc") as caught:
        refused.hold()
    assert dict(caught.value.evidence) == {
        "reason": str(refusal),
        "holder": "rig-3/417/abc",
        "holder_hostname": "rig-3",
        "holder_pid": 417,
        "token": 2,
        "wait_s": 12.3,
    }
    assert refused.owns_prefix is owns_prefix


def test_an_attempt_that_the_records_have_ended_is_told_to_stop(tmp_path: Path) -> None:
    with pytest.raises(AttemptInterrupted):
        lease(tmp_path, LeaseAnswer(LeaseRefusal.ENDED)).hold()


def test_the_claim_of_another_process_counts_without_a_controller(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    artifacts = LocalArtifacts(tmp_path / "artifacts")
    artifacts.put_bytes(f"{spec.artifacts_prefix}/{CLAIM}", b'{"holder": "rig-4/9/x"}')
    second = lease(tmp_path, LeaseAnswer(is_known=False))
    with pytest.raises(ConcurrentSortError, match="rig-4/9/x"):
        second.hold()
    assert not second.owns_prefix


def test_a_damaged_claim_is_a_claim(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    artifacts = LocalArtifacts(tmp_path / "artifacts")
    artifacts.put_bytes(f"{spec.artifacts_prefix}/{CLAIM}", b"\x00 not JSON")
    with pytest.raises(ConcurrentSortError, match="unnamed process"):
        lease(tmp_path, LeaseAnswer()).hold()
