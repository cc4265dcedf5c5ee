"""The entry of a pod: its order from the store, its end where the container runtime reads it.

Every way to end leaves a last word and a code of the table.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.attempts import make_spec, wait_for

from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

KEY = "runs/run/attempts/sort-1/spec.json"


class Pod:
    """One pod's process with its variables, as the launcher's manifest gives them."""

    def __init__(self, folder: Path, order: bytes = b"", **spec_changes: object) -> None:
        self.folder = folder
        self.store = LocalArtifacts(folder / "store")
        self.log = folder / "termination-log"
        self.log.touch()
        spec = make_spec(folder, artifacts_url=self.store.url, **spec_changes)
        order = order or json.dumps(spec.to_json()).encode()
        self.store.put_bytes(KEY, order)
        self.told = {
            "ATTEMPT_SPEC": KEY,
            "ATTEMPT_SPEC_SHA256": hashlib.sha256(order).hexdigest(),
            "ARTIFACTS_URL": self.store.url,
            "SCRATCH": str(folder / "scratch"),
            "TERMINATION_LOG": str(self.log),
            "POD_NAME": "s-run-sort-1-abcde",
            "ATTEMPT_ID": spec.attempt_id,
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

    def ended(self) -> tuple[int, dict[str, object]]:
        """How it ended: exit code, and last word."""
        process = self.start()
        process.communicate(timeout=60)
        return process.returncode, self.message()

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


def test_a_pod_without_its_order_says_so_where_the_runtime_reads_it(tmp_path):
    pod = Pod(tmp_path)
    pod.told["ATTEMPT_SPEC"] = ""
    process = pod.start()
    process.communicate(timeout=60)
    assert process.returncode == 64
    assert pod.log.read_text().startswith("SPIKEFLEET_ATTEMPT_SPEC is not set")


DEEP = b'{"version": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "order",
    [b"[]", b"null", b"7", b"{", b"\xff\xfe", b'{"version": 1}', b'{"version": 2}', DEEP],
    ids=["list", "null", "number", "torn", "no text", "no fields", "another version", "deep"],
)
def test_an_order_that_cannot_be_read_is_told_in_the_last_word(tmp_path, order):
    code, said = Pod(tmp_path, order).ended()
    assert code == said["code"] == 112
    assert said["attempt_id"] == "run/run-sort-1"
    assert "order cannot be read" in said["message"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\xe9", "ascii"), (b"  \n", "is empty")],
    ids=["missing", "no text", "empty"],
)
def test_a_secret_that_cannot_be_read_is_told_in_the_last_word(tmp_path, content, words):
    pod = Pod(tmp_path)
    secret = tmp_path / "secret"
    pod.told["ATTEMPT_SECRET_FILE"] = str(secret)
    if content is not None:
        secret.write_bytes(content)
    code, said = pod.ended()
    assert code == said["code"] == 90
    assert words in said["message"]
    assert said["evidence"]["path"] == str(secret)


def test_scratch_that_cannot_be_written_is_told_in_the_last_word(tmp_path):
    pod = Pod(tmp_path)
    (tmp_path / "scratch").write_bytes(b"no folder")
    code, said = pod.ended()
    assert code == said["code"] == 90
    assert "scratch volume cannot be written" in said["message"]
    assert said["attempt_id"] == "run/run-sort-1"


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


@pytest.mark.parametrize("after_s", [0.06, 0.12, 0.2, 0.3, 0.45])
def test_a_stop_signal_is_heard_while_the_pod_is_still_importing(tmp_path, after_s):
    pod = Pod(tmp_path)
    process = pod.start()
    listens = Path(f"/proc/{process.pid}/status")
    while not _handles(listens, signal.SIGTERM):  # of the interpreter's own start nobody hears
        time.sleep(0.002)
    time.sleep(after_s - 0.06)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == pod.message()["code"] == 113


def _handles(status: Path, number: int) -> bool:
    """Whether a process has a handler of its own for a signal."""
    (mask,) = (line.split()[1] for line in status.read_text().splitlines() if "SigCgt" in line)
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_reader_that_hangs_holds_no_pod(tmp_path):
    pod = Pod(tmp_path)
    told = {f"SPIKEFLEET_{name}": value for name, value in pod.told.items()}
    full, unread = os.pipe(), os.pipe()
    for _, end in (full, unread):
        os.set_blocking(end, False)
        with suppress(BlockingIOError):
            while True:
                os.write(end, b"x" * 4096)
        os.set_blocking(end, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "spikefleet.deploy.pod"],
        env={**os.environ, **told},
        stdout=full[1],
        stderr=unread[1],
    )
    child = tmp_path / "scratch" / "s-run-sort-1-abcde" / "child.log"
    wait_for(child.exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == pod.message()["code"] == 113


def test_a_claim_is_empty_again_when_the_pod_has_ended(tmp_path):
    pod = Pod(tmp_path)
    pod.told["SCRATCH_STAYS"] = "true"
    pod.told["ATTEMPT_SPEC"] = "runs/run/attempts/sort-2/spec.json"
    code, said = pod.ended()
    assert (code, said["code"]) == (85, 85)
    assert list((tmp_path / "scratch").iterdir()) == []


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
