"""What a sort attempt writes, for people: while it runs and after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled, answering

from spikefleet.controller.attempt_logs import MOST_BYTES
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.infra.rpc.errors import RpcProblem

SILENT = StageResult(failure=Failure(FailureCode.INSUFFICIENT_ACTIVITY, "Silent."))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Controlled, str, Path]]:
    """A run in the middle of its sort, and where its sorter writes."""
    controlled = Controlled(tmp_path, "wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    (attempt,) = controlled.runs.live_attempts()
    yield controlled, run_id, tmp_path / "attempts" / attempt.name / "child.log"
    controlled.close()


def test_a_live_log_is_read_from_any_place(running: tuple[Controlled, str, Path]) -> None:
    controlled, run_id, log = running
    log.write_bytes(b"one\ntwo\nthree\n")
    attempt, part = controlled.logs.read(run_id, 0, 0)
    assert (attempt.number, part.data, part.size_bytes) == (1, b"one\ntwo\nthree\n", 14)
    assert controlled.logs.read(run_id, 1, 4)[1].data == b"two\nthree\n"
    assert controlled.logs.read(run_id, 1, -6)[1].data == b"three\n"
    assert controlled.logs.read(run_id, 1, -99)[1].offset == 0
    assert controlled.logs.read(run_id, 1, 99)[1].data == b""


def test_one_answer_is_bounded(running: tuple[Controlled, str, Path]) -> None:
    controlled, run_id, log = running
    log.write_bytes(b"x" * (MOST_BYTES + 7))
    part = controlled.logs.read(run_id, 0, 0)[1]
    assert (len(part.data), part.size_bytes) == (MOST_BYTES, MOST_BYTES + 7)


def test_a_log_that_is_a_link_is_not_followed(running: tuple[Controlled, str, Path]) -> None:
    controlled, run_id, log = running
    secret = log.parents[2] / "secret"
    secret.write_text("not for them")
    log.symlink_to(secret)
    assert controlled.logs.read(run_id, 0, 0)[1].data == b""


@pytest.mark.parametrize("place", ["logs/child.log", "failure/logs/child.log"])
def test_a_log_is_read_after_the_attempt_has_gone(tmp_path: Path, place: str) -> None:
    controlled = Controlled(tmp_path)
    run = controlled.finish(controlled.submit())
    prefix = f"runs/{run.run_id}/attempts/sort-1"
    controlled.artifacts.put_bytes(f"{prefix}/{place}", b"the end\n")
    attempt, part = controlled.logs.read(run.run_id, 0, -4)
    assert (str(attempt.state), part.data, part.size_bytes) == ("succeeded", b"end\n", 8)
    controlled.close()


def test_why_there_is_no_log_is_told(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path)
    first = controlled.finish(controlled.submit())
    second = controlled.finish(controlled.submit(snr_min=9.0))
    with pytest.raises(RpcProblem, match=f"took over the sort of {first.run_id}"):
        controlled.logs.read(second.run_id, 0, 0)
    with pytest.raises(RpcProblem, match="no sort attempt 7"):
        controlled.logs.read(first.run_id, 7, 0)
    controlled.call = answering({(Stage.PREFLIGHT, 1): SILENT})
    controlled.rebuild()
    quiet = controlled.finish(controlled.submit("b"))
    with pytest.raises(RpcProblem, match="ended as unsortable before any sort"):
        controlled.logs.read(quiet.run_id, 0, 0)
    controlled.close()
