"""A runner's parent that ends as told, for launchers: ``toy_attempt.py <run folder>``.

What it does is the spec's stream, or else its backend:
``succeed``, ``fail``, ``die``, ``wait``, ``cling``, ``orphan``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from spikefleet.core.attempts import AttemptOutcome, RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.infra.launchers import processes

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
SHOWN = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "GIVEN")


def leave_outcome(folder: RunFolder, exit_code: int, failure: Failure | None) -> int:
    folder.termination_message.write_text(json.dumps({"code": exit_code}))
    write_json(folder.outcome, AttemptOutcome("toy", exit_code, failure).to_json())
    return exit_code


def main(root: Path) -> int:
    folder = RunFolder(root)
    spec = json.loads(folder.spec.read_text())
    behaviour = spec["stream"] or spec["backend"]
    starts = root / "starts.txt"
    with starts.open("a") as handle:
        handle.write(f"{os.getpid()}\n")
    told = sys.stdin.readline()
    write_json(root / "told.json", {"length": len(told.strip()), "is_end": sys.stdin.read() == ""})
    write_json(root / "environment.json", {name: os.environ.get(name) for name in SHOWN})
    if behaviour == "cling":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour in ("cling", "orphan"):
        child = subprocess.Popen(SLEEPER, start_new_session=True)
        write_json(folder.child_started, processes.identify_child(child.pid).to_json())
        stray = subprocess.Popen(SLEEPER, start_new_session=True)
        write_json(root / "family.json", {"pids": [child.pid, stray.pid]})
    write_json(folder.started, processes.identify_self().to_json())
    if behaviour == "succeed":
        return leave_outcome(folder, 0, None)
    if behaviour == "fail":
        return leave_outcome(folder, 110, Failure(FailureCode.SORTER_CRASH, "It broke."))
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    write_json(folder.heartbeat, {"progress": {"step": "sort"}})
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
