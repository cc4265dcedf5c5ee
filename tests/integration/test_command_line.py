"""The command line on a real service: a recording that ends before any sorter starts."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.service import Service

from spikefleet.cli.main import cli
from spikefleet.signal.simulation import Condition, SimulationRequest, simulate


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(tmp_path_factory.mktemp("service")).start()
    yield started
    started.close()


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that holds digital zeros."""
    path = tmp_path_factory.mktemp("rig") / "silent"
    return simulate(
        SimulationRequest(
            "binary", path, n_channels=4, duration_s=5.0, n_units=0, condition=Condition.SILENT
        )
    ).path


_JSON = ("--output", "json")


def _ask(service: Service, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--address", service.address])


def _document(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def run_id(service: Service, silent: Path) -> str:
    """The run of the silent recording, ended."""
    done = _ask(service, "submit", str(silent), "--watch", "--output", "json")
    assert done.exit_code == 0, done.output
    batch, *updates = [json.loads(line) for line in done.stdout.splitlines()]
    (run,) = batch["runs"]
    assert updates[-1]["run"]["status"] == "unsortable"
    return str(run["run_id"])


def test_an_unsortable_recording_is_done_and_says_why(service: Service, run_id: str) -> None:
    done = _ask(service, "status", run_id)
    assert done.exit_code == 0
    assert "unsortable" in done.stdout
    assert "Next: " in done.stdout
    assert "biological.skip" in done.stdout


def test_a_program_reads_attempts_and_history_of_a_run(service: Service, run_id: str) -> None:
    document = _document(_ask(service, "status", run_id, "--output", "json"))
    assert [attempt["stage"] for attempt in document["attempts"]] == ["preflight", "report"]
    assert "decision.skip" in [event["kind"] for event in document["events"]]


def test_the_same_submission_twice_is_one_run(service: Service, run_id: str, silent: Path) -> None:
    again = _document(_ask(service, "submit", str(silent), "--output", "json"))
    assert again["existing_run_ids"] == [run_id]


def test_a_copy_under_another_name_says_whose_bytes_it_has(
    service: Service, run_id: str, silent: Path
) -> None:
    first = _document(_ask(service, "status", run_id, "--output", "json"))["recording_name"]
    done = _ask(service, "submit", str(silent), "--name", "a-copy")
    assert "1 of them known before" in done.stdout
    assert f"same bytes as {first}" in " ".join(done.stdout.split())


def test_a_run_is_listed_by_its_state(service: Service, run_id: str) -> None:
    skipped = _document(_ask(service, "list", "--state", "unsortable", "--output", "json"))
    running = _document(_ask(service, "list", "--state", "running", "--output", "json"))
    assert run_id in [run["run_id"] for run in skipped["runs"]]
    assert run_id not in [run["run_id"] for run in running["runs"]]


def test_watching_an_ended_run_ends_at_once(service: Service, run_id: str) -> None:
    done = _ask(service, "watch", run_id)
    assert done.exit_code == 0
    assert "unsortable: " in done.stdout


def test_the_report_of_an_unsortable_run_comes_to_the_rig(
    service: Service, run_id: str, tmp_path: Path
) -> None:
    done = _ask(service, "report", run_id, str(tmp_path), "--open-path")
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()).read_text(encoding="utf-8").startswith("<!")


def test_an_overview_names_the_cause_in_table_page_and_document(
    service: Service, run_id: str, tmp_path: Path
) -> None:
    page = tmp_path / "night.html"
    done = _ask(service, "overview", run_id, "--to", str(page), "--title", "Night 7")
    assert done.exit_code == 0, done.output
    assert "1 run: 1 unsortable." in done.stdout
    assert "digital zero" in page.read_text(encoding="utf-8")
    assert "Night 7" in page.read_text(encoding="utf-8")
    told = _document(_ask(service, "overview", run_id, "--to", str(page), "--output", "json"))
    assert told["outcomes"] == {"unsortable": 1}
    assert told["html"] == str(page)
    none = _ask(service, "overview", "--recording", "nothing-like-it", "--to", str(page))
    assert "No run matches." in none.stdout


def test_a_retry_can_be_followed_to_its_end(service: Service, run_id: str) -> None:
    done = _ask(service, "retry", run_id, "--watch")
    assert done.exit_code == 0, done.output
    assert "unsortable: " in done.stdout
    assert f"spikefleet report {run_id}" in _ask(service, "status", run_id).stdout


def test_cancelling_an_ended_run_says_that_nothing_was_stopped(
    service: Service, run_id: str
) -> None:
    done = _ask(service, "cancel", run_id)
    assert done.exit_code == 0
    assert "nothing was stopped" in done.stdout


def test_fetching_twice_copies_once(service: Service, run_id: str, tmp_path: Path) -> None:
    first = _document(_ask(service, "fetch", run_id, str(tmp_path), "--output", "json"))
    second = _document(_ask(service, "fetch", run_id, str(tmp_path), "--output", "json"))
    assert first["files"]
    assert all(file["new"] for file in first["files"])
    assert not any(file["new"] for file in second["files"])


def test_nothing_is_fetched_when_one_of_the_ids_is_unknown(
    service: Service, run_id: str, tmp_path: Path
) -> None:
    asked = ["fetch", run_id, "run-0000000000000000", "--to", str(tmp_path / "all")]
    assert _ask(service, *asked).exit_code == 2
    assert not (tmp_path / "all").exists()


def test_a_file_changed_since_it_was_fetched_is_not_lost(
    service: Service, run_id: str, tmp_path: Path
) -> None:
    assert _ask(service, "fetch", run_id, str(tmp_path)).exit_code == 0
    changed = tmp_path / "report" / "report.md"
    changed.write_text("my notes")
    refused = _ask(service, "fetch", run_id, str(tmp_path))
    assert refused.exit_code == 2
    assert "report/report.md" in refused.stderr
    assert changed.read_text() == "my notes"
    assert _ask(service, "fetch", run_id, str(tmp_path), "--overwrite").exit_code == 0
    assert changed.read_text() != "my notes"


def test_a_folder_holds_the_files_of_one_run(service: Service, run_id: str, tmp_path: Path) -> None:
    (tmp_path / "spikefleet.json").write_text('{"run_id": "run-other", "recording_name": "p/s/n"}')
    refused = _ask(service, "fetch", run_id, str(tmp_path))
    assert refused.exit_code == 2
    assert "run-other (p/s/n)" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spikefleet.json"]


def test_every_verb_takes_a_batch_and_selectors(
    service: Service, run_id: str, silent: Path, tmp_path: Path
) -> None:
    batch = _document(_ask(service, "submit", str(silent), "--output", "json"))["batch_id"]
    by_batch = _document(_ask(service, "cancel", batch, "--output", "json"))
    assert [run["run_id"] for run in by_batch["runs"]] == [run_id]
    by_name = _document(_ask(service, "fetch", "--recording", "silent", str(tmp_path), *_JSON))
    assert [run["folder"] for run in by_name["runs"]] == [str(tmp_path / run_id)]
    assert _ask(service, "watch", "--state", "unsortable").exit_code == 0
    assert "No run matches" in _ask(service, "cancel", "--sorter", "lupin").stdout
    assert _ask(service, "status", run_id, batch).exit_code == 0


def test_a_dry_run_says_what_would_be_and_starts_nothing(service: Service, silent: Path) -> None:
    before = _ask(service, "list", "--output", "json").stdout
    done = _ask(service, "submit", str(silent), "--set", "snr_min=7", "--dry-run")
    assert done.exit_code == 0, "unsortable is an outcome, no error: as with --watch"
    assert "Every sample is digital zero" in done.stdout
    assert "snr_min=7" in done.stdout
    assert "Nothing was started." in done.stdout
    document = _document(_ask(service, "submit", str(silent), "--dry-run", *_JSON))
    (run,) = document["runs"]
    assert run["failure"]["code"] == "insufficient_activity"
    assert document["config"]["sorter"]["sorter_name"] == "kilosort4"
    wrong = _ask(service, "submit", str(silent), "--set", "sorter_params.nblock=1", "--dry-run")
    assert wrong.exit_code == 2
    assert "did you mean 'nblocks'" in wrong.stderr
    assert _ask(service, "list", "--output", "json").stdout == before


def test_a_missing_path_is_refused_before_anything_starts(service: Service, tmp_path: Path) -> None:
    before = _ask(service, "list", "--output", "json").stdout
    gone = tmp_path / "gone.nwb"
    done = _ask(service, "submit", str(gone), "--watch")
    assert done.exit_code == 2
    assert f"Nothing is at {gone}" in done.stderr
    assert "--in-place" in done.stderr
    in_place = _ask(service, "submit", str(gone), "--in-place")
    assert in_place.exit_code == 2
    assert "nothing was submitted" in in_place.stderr
    assert _ask(service, "list", "--output", "json").stdout == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status", "run-of-nobody"], "RUN_NOT_FOUND"),
        (["report", "run-of-nobody"], "RUN_NOT_FOUND"),
        (["fetch", "run-of-nobody"], "RUN_NOT_FOUND"),
        (["list", "--batch", "nope"], "BATCH_NOT_FOUND"),
    ],
)
def test_asking_for_a_run_nobody_knows_is_wrong_usage(
    service: Service, arguments: list[str], code: str
) -> None:
    done = _ask(service, *arguments, "--output", "json")
    assert done.exit_code == 2
    assert _document(done)["error"]["code"] == code


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--sorter", "kilosort5", "did you mean 'kilosort4'"),
        ("--set", "snr_mim=5", "Next: "),
        ("--stream", "well099", "Next: "),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_starts(
    service: Service, silent: Path, option: str, value: str, told: str
) -> None:
    done = _ask(service, "submit", str(silent), option, value)
    assert done.exit_code == 2
    assert value.partition("=")[0] in done.stderr
    assert told in done.stderr


def test_no_lane_is_on_hold_and_releasing_one_lets_nothing_go(service: Service) -> None:
    assert _document(_ask(service, "holds", "--output", "json")) == {"holds": []}
    released = _document(_ask(service, "release", "kilosort4", "--output", "json"))
    assert released["released_run_count"] == 0
    assert not released["was_held"]
    assert "kilosort4 was not on hold" in _ask(service, "release", "kilosort4").stdout
    assert _ask(service, "release", "kilosort5").exit_code == 2


def test_a_watch_outlives_a_killed_service_and_can_be_left_without_harm(
    tmp_path: Path, silent: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    service = Service(tmp_path / "data", "--address", address).start()
    try:
        submitted = _ask(service, "submit", str(silent), "--output", "json")
        service.kill()
        (run,) = _document(submitted)["runs"]
        watch, left = _watch(run["run_id"], address), _watch(run["run_id"], address)
        time.sleep(5.0)  # they meet a closed port, more than once
        assert watch.poll() is None
        left.send_signal(signal.SIGINT)
        service.start()
        shown, warned = watch.communicate(timeout=60)
        told, _ = left.communicate(timeout=60)
    finally:
        service.close()
    assert watch.returncode == 0
    assert "unsortable: " in shown
    assert left.returncode == 130
    assert "the runs continue" in told
    assert f"No service answers at {address} yet" in warned
    assert "Trying again every few seconds for 5 min; press Ctrl-C to stop." in warned
    assert "`spikefleet serve`" in warned
    assert "Trying again" not in shown, "the same absence is told once"
    assert "Traceback" not in warned


def _watch(run_id: str, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spikefleet.cli.main", "watch", run_id, "--address", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c() -> None:
    """As at a terminal; what runs in the background of a script inherits an ignored Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
