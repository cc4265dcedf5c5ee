"""The entry of an attempt: a real process, a real folder, and a controller that may be away."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.client.run_reports import RunReports
from spikefleet.core.attempts import AttemptOutcome, RunFolder
from spikefleet.core.files import read_json, write_json
from spikefleet.deploy.attempt_sink import ControllerSink, make_progress_document, make_sink
from spikefleet.runner.reporting import AttemptProgress, SilentSink

NOBODY = "127.0.0.1:1"


def run_entry(root: Path) -> int:
    command = [sys.executable, "-m", "spikefleet.deploy.attempt", str(root)]
    return subprocess.run(command, check=False, timeout=60, capture_output=True).returncode


def test_an_attempt_without_a_readable_order_still_has_an_outcome(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_json(folder.spec, {"version": 99})
    assert run_entry(tmp_path) == 112
    outcome = AttemptOutcome.from_json(read_json(folder.outcome) or {})
    assert outcome.failure is not None
    assert outcome.failure.rule_id == "parent_error"


def test_a_missing_recording_ends_in_its_code_without_a_controller(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, report_address=NOBODY)
    (tmp_path / "recording.bin").unlink()
    folder = RunFolder(tmp_path / "attempt")
    write_json(folder.spec, spec.to_json())
    assert run_entry(folder.root) == 85
    assert folder.termination_message.exists()


def test_the_time_left_is_only_guessed_from_some_progress() -> None:
    early = make_progress_document(AttemptProgress("load", 0.01, elapsed_s=5))
    assert early["eta_s"] is None
    later = make_progress_document(AttemptProgress("sort", 0.25, spikes=9, elapsed_s=10))
    assert (later["eta_s"], later["spike_count"], later["step"]) == (30.0, 9, "sort")


def test_nobody_to_tell_is_silence() -> None:
    assert isinstance(make_sink("", ""), SilentSink)


@pytest.mark.parametrize("n_reports", [200])
def test_a_controller_that_is_away_costs_no_time(tmp_path: Path, n_reports: int) -> None:
    spec = make_spec(tmp_path)
    sink = ControllerSink(RunReports(NOBODY))
    before_s = time.monotonic()
    for _ in range(n_reports):
        assert not sink.report_progress(spec, AttemptProgress())
    assert time.monotonic() - before_s < 0.5
    sink.report_end(spec)
    assert time.monotonic() - before_s < 10
