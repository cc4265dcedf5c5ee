"""report: why there is none, told by where the run stands."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from tests.support.runs import make_view

from spikefleet.cli.main import cli
from spikefleet.cli.results import _no_report
from spikefleet.client.views import RunView
from spikefleet.core.runs import RunState
from spikefleet.infra.rpc.errors import ServiceError

MISSING = ServiceError("REPORT_NOT_FOUND", "No report.", request_id="abc")


@pytest.mark.parametrize(
    ("state", "said", "then"),
    [
        (RunState.CANCELLED, "was cancelled before its report", "spikefleet retry run-"),
        (RunState.FAILED, "ended as failed", "--stage report"),
        (RunState.RUNNING, "is running; its report is made when it ends", "spikefleet watch run-"),
        (RunState.HELD, "is held", "spikefleet watch run-"),
    ],
)
def test_a_missing_report_is_explained_by_the_runs_state(
    state: RunState, said: str, then: str
) -> None:
    error = _no_report(make_view(state=state), MISSING)
    assert said in error.message
    assert then in error.next_step
    assert (error.reason, error.request_id) == ("REPORT_NOT_FOUND", "abc")


def test_a_fetch_of_a_run_without_files_fails_as_its_report_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fileless:
        """A service whose run has no files yet."""

        def get(self, run_id: str) -> RunView:
            return make_view()

        def fetch(self, *_: object, **__: object) -> tuple[()]:
            return ()

    @contextmanager
    def connect(address: str | None) -> Iterator[Fileless]:
        yield Fileless()

    monkeypatch.setattr("spikefleet.cli.results.connected", connect)
    done = CliRunner().invoke(cli, ["fetch", "run-0123456789abcdef"])
    assert done.exit_code == 2
    assert "has no files yet: it is running" in done.stdout
