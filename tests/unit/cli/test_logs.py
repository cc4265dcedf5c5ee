"""logs: the end of a sorter's log, and what follows it."""

from collections.abc import Iterator
from typing import cast

import pytest
from tests.support.runs import make_view

from spikefleet.cli import logs as verb
from spikefleet.cli.logs import _Reading
from spikefleet.cli.printing import Output
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import LogView, RunView
from spikefleet.core.runs import RunState
from spikefleet.infra.rpc.errors import ServiceError


class Writing:
    """A service whose sorter writes one more piece at each look, over one or two attempts."""

    def __init__(self, *attempts: list[bytes], answers_after: int = 0) -> None:
        self.attempts = attempts
        self.looks = [1] * len(attempts)
        self.refusals = answers_after

    def log(self, run_id: str, *, attempt: int = 0, offset: int = 0) -> LogView:
        if self.refusals:
            self.refusals -= 1
            raise ServiceError("LOG_NOT_FOUND", "No sort yet.")
        known = self.last_started()
        number = attempt or known
        pieces = self.attempts[number - 1]
        written = b"".join(pieces[: self.looks[number - 1]])
        self.looks[number - 1] = min(self.looks[number - 1] + 1, len(pieces))
        start = max(0, len(written) + offset) if offset < 0 else offset
        ended = written == b"".join(pieces)
        return LogView(number, written[start:], start, len(written), ended)

    def last_started(self) -> int:
        done = [look == len(p) for look, p in zip(self.looks, self.attempts, strict=True)]
        return min(len(self.attempts), 1 + sum(done))

    def get(self, run_id: str) -> RunView:
        over = self.looks[-1] == len(self.attempts[-1])
        return make_view(state=RunState.SUCCEEDED if over else RunState.RUNNING)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(verb, "_POLL_S", 0.0)
    return


def reading(service: Writing, attempt: int = 0) -> _Reading:
    return _Reading(cast("SortingClient", service), "run-1", attempt, Output("text"))


def test_a_line_is_printed_once_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    log = reading(Writing([b"one\ntw", b"o\nthree"]))
    assert log.lines(0) == ["one"]
    log.follow()
    assert capsys.readouterr().out.splitlines() == ["two", "three"]


def test_a_retrys_log_follows_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    log = reading(Writing([b"first\n", b"died\n"], [b"second\n", b"done\n"]))
    log.tell(log.lines(0))
    log.follow()
    assert capsys.readouterr().out.splitlines() == [
        "first",
        "died",
        "--- sort attempt 2 ---",
        "second",
        "done",
    ]


def test_following_begins_before_the_sort_does() -> None:
    service = Writing([b"one\n", b""], answers_after=3)
    log = reading(service)
    log.await_sort()
    assert service.refusals == 0
    assert log.lines(0) == ["one"]


def test_a_run_that_ends_without_a_sort_is_not_waited_for() -> None:
    service = Writing([b"one\n"], answers_after=99)
    with pytest.raises(ServiceError, match="No sort yet"):
        reading(service).await_sort()


WAITS = "waits for a node with room for it: 2 Insufficient memory"


class Waiting(Writing):
    """A service whose sort has no machine yet."""

    def get(self, run_id: str) -> RunView:
        return make_view(progress={"step": WAITS})


def test_a_sort_that_waits_says_for_what_and_says_it_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = reading(Waiting([b"", b"", b"one\n"]))
    for _ in range(3):
        log.tell(log.lines())
        log.tell_silence()
    said = capsys.readouterr()
    assert said.out.splitlines() == ["one"]
    assert said.err.splitlines() == [f"Nothing is written yet: sort, {WAITS}"]


def test_following_says_what_a_run_without_a_sort_waits_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reading(Waiting([b"one\n", b""], answers_after=3)).await_sort()
    assert capsys.readouterr().err.splitlines() == [f"Nothing is written yet: sort, {WAITS}"]


def test_a_sort_that_has_ended_without_a_word_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    log = reading(Writing([]))
    log.tell(log.lines())
    log.tell_silence()
    assert capsys.readouterr().err == "Sort attempt 1 has written nothing.\n"


def test_a_program_that_reads_a_log_reads_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    log = _Reading(cast("SortingClient", Waiting([b"", b""])), "run-1", 0, Output("json"))
    log.tell(log.lines())
    log.tell_silence()
    assert capsys.readouterr() == ("", "")
