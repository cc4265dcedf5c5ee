"""The machine that sorts looks at itself first, with real parents and a fake driver."""

import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.support.attempts import RunningAttempt, make_spec, start_attempt, wait_for

from spikefleet.core.attempts import AttemptOutcome, RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.files import read_json

Asked = dict[str, Any] | None
IDLE = {"uuid": "GPU-1"}


def start(tmp_path: Path, behaviour: str, asked: Asked, **changes: Any) -> RunningAttempt:
    return start_attempt(make_spec(tmp_path, **changes), behaviour, tmp_path / "attempt", gpu=asked)


def run(tmp_path: Path, asked: Asked, **changes: Any) -> AttemptOutcome:
    return start(tmp_path, "succeed", asked, **changes).finish()


def nothing_was_started(folder: RunFolder) -> bool:
    return not folder.child_log.exists() and not folder.inputs.exists()


@pytest.mark.parametrize(
    ("asked", "code", "exit_code"),
    [
        ({"probe": {"error": "torch sees no GPU"}}, "cuda_probe_failed", 90),
        ({"uncorrected": 4}, "gpu_ecc", 104),
        ({"error": 15}, "gpu_device_not_present", 104),
        (None, "gpu_device_not_present", 90),
    ],
)
def test_a_broken_gpu_ends_the_attempt_before_anything_is_brought_in(
    tmp_path: Path, asked: Asked, code: str, exit_code: int
) -> None:
    outcome = run(tmp_path, asked, gpu=True)
    assert outcome.exit_code == exit_code
    assert outcome.failure is not None
    assert (outcome.failure.stage, outcome.failure.rule_id) == (
        "node_preflight",
        f"preflight.{code}",
    )
    assert outcome.node["findings"][0]["code"] == code
    assert nothing_was_started(RunFolder(tmp_path / "attempt"))


def test_a_full_gpu_is_noted_and_the_sort_begins(tmp_path: Path) -> None:
    full = {"error": "CUDA out of memory", "out_of_memory": True}
    outcome = run(tmp_path, {"probe": full}, gpu=True)
    assert (outcome.exit_code, outcome.n_units) == (0, 3)
    assert "low_vram" in {finding["code"] for finding in outcome.node["findings"]}
    assert outcome.node["facts"]["gpu"]["model"] == "NVIDIA H200"


def test_a_sorter_that_is_not_installed_holds_its_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The attempt's own interpreter, but without what a sorter needs: its metadata and its files.
    place = Path(__file__).resolve().parents[2]
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(HIDE_KILOSORT)
    monkeypatch.setenv("PYTHONPATH", f"{hiding}:{place}:{place / 'services'}")
    outcome = run(tmp_path, IDLE, gpu=True, backend="kilosort4")
    assert outcome.exit_code == 93
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.MODEL_LOADING
    assert "spikefleet[kilosort4]" in outcome.failure.message
    assert nothing_was_started(RunFolder(tmp_path / "attempt"))


HIDE_KILOSORT = """
import importlib.metadata as metadata
found = metadata.version
def version(name):
    if name == "kilosort":
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.version = version
"""


def test_findings_are_a_metric_while_the_attempt_runs(tmp_path: Path) -> None:
    limits = {"preflight_min_free_inter_gb": 1e9}
    attempt = start(tmp_path, "chatter", None, execution=limits)
    attempt.child_pid()
    wait_for(lambda: (read_json(attempt.folder.started) or {}).get("metrics_port"))
    port = (read_json(attempt.folder.started) or {})["metrics_port"]
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    attempt.process.terminate()
    attempt.finish()
    (line,) = [row for row in page.splitlines() if 'finding="low_disk_inter"' in row]
    assert line.startswith("spikefleet_attempt_node_finding_info{")
    assert 'level="warn"' in line
