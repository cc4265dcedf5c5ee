"""The entry of a pod: its order from the store, its end where the container runtime reads it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

KEY = "runs/run/attempts/sort-1/spec.json"


class Pod:
    """One pod's process with its variables, as the launcher's manifest gives them."""

    def __init__(self, folder: Path, **spec_changes: object) -> None:
        self.folder = folder
        self.store = LocalArtifacts(folder / "store")
        self.log = folder / "termination-log"
        self.log.touch()
        spec = make_spec(folder, artifacts_url=self.store.url, **spec_changes)
        order = json.dumps(spec.to_json()).encode()
        self.store.put_bytes(KEY, order)
        self.told = {
            "ATTEMPT_SPEC": KEY,
            "ATTEMPT_SPEC_SHA256": hashlib.sha256(order).hexdigest(),
            "ARTIFACTS_URL": self.store.url,
            "SCRATCH": str(folder / "scratch"),
            "TERMINATION_LOG": str(self.log),
            "POD_NAME": "s-run-sort-1-abcde",
        }

    def start(self) -> subprocess.Popen[str]:
        told = {f"SPIKEFLEET_{name}": value for name, value in self.told.items()}
        return subprocess.Popen(
            [sys.executable, "-m", "spikefleet.deploy.pod"],
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def message(self) -> dict[str, object]:
        return json.loads(self.log.read_text())


def test_a_pod_without_its_order_says_who_would_give_it():
    ended = subprocess.run(
        [sys.executable, "-m", "spikefleet.deploy.pod"],
        env={k: v for k, v in os.environ.items() if not k.startswith("SPIKEFLEET_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 64
    assert "SPIKEFLEET_ATTEMPT_SPEC is not set" in ended.stdout + ended.stderr


def test_an_order_that_is_not_the_one_given_is_not_carried_out(tmp_path):
    pod = Pod(tmp_path)
    pod.told["ATTEMPT_SPEC_SHA256"] = "0" * 64
    process = pod.start()
    process.communicate(timeout=60)
    assert process.returncode == pod.message()["code"] == 86


def test_a_store_without_the_order_is_told_in_the_last_word(tmp_path):
    pod = Pod(tmp_path)
    pod.told["ATTEMPT_SPEC"] = "runs/run/attempts/sort-2/spec.json"
    process = pod.start()
    process.communicate(timeout=60)
    assert process.returncode == pod.message()["code"] == 85


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pod_told_to_stop_stores_its_evidence_and_never_ends_with_success(tmp_path, number):
    pod = Pod(tmp_path)
    process = pod.start()
    child = tmp_path / "scratch" / "s-run-sort-1-abcde" / "child.json"
    deadline = time.monotonic() + 60
    while not child.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 113
    assert pod.message()["attempt_id"] == "run/run-sort-1"
    stored = json.loads(pod.store.get_bytes("runs/run/attempts/sort-1/failure/outcome.json"))
    assert stored["exit_code"] == 113
