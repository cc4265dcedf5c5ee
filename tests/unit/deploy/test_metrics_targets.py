"""The file by which Prometheus finds what to scrape."""

import json
from pathlib import Path

from spikefleet.core.files import write_json
from spikefleet.deploy.metrics_targets import MetricsTargets


def attempt(folder: Path, name: str, port: int) -> Path:
    (folder / name).mkdir(parents=True)
    write_json(folder / name / "started.json", {"pid": 1, "metrics_port": port})
    return folder / name


def test_service_and_running_sorts_are_listed_with_their_labels(tmp_path: Path) -> None:
    path, attempts = tmp_path / "shared" / "targets.json", tmp_path / "attempts"
    targets = MetricsTargets(path, attempts)
    targets()
    assert not path.exists()  # nothing is served yet
    targets.serve(7001)
    service = {"targets": ["127.0.0.1:7001"], "labels": {"part": "service"}}
    assert json.loads(path.read_text()) == [service]
    folder = attempt(attempts, "s-0123456789abcdef-sort-2", 7002)
    targets()
    labels = {
        "part": "attempt",
        "attempt": "s-0123456789abcdef-sort-2",
        "run_id": "run-0123456789abcdef",
    }
    assert json.loads(path.read_text()) == [
        service,
        {"targets": ["127.0.0.1:7002"], "labels": labels},
    ]
    write_json(folder / "exit.json", {"exit_code": 0})
    targets()
    assert json.loads(path.read_text()) == [service]
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_unchanged_list_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    targets = MetricsTargets(path, tmp_path / "attempts")
    targets.serve(7001)
    path.unlink()
    targets()
    assert not path.exists()


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    targets = MetricsTargets(tmp_path / "file" / "targets.json", tmp_path / "attempts")
    targets.serve(7001)
    targets()
