"""A sort attempt that ends as told, for the controller: ``toy_sort.py <plan> <run folder>``.

The plan names one end per attempt number, separated by commas; the last one holds for all later
ones. Ends: ``succeed``, ``fail:<code>``, ``hollow`` (exit 0, nothing stored), ``die``, ``vanish``
(everything stored, then killed before the last word), ``wait`` (until told to stop), ``cling``
(until killed), ``slow`` (succeeds after a while), ``stepped:<code>`` (its trial ran out of GPU
memory, so it went on with half the batch, and fails) and ``stepped:`` (and succeeds). Every start
is noted beside the artifacts.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlparse

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, RunFolder
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.infra.launchers import processes
from spikefleet.infra.stores.bytes.artifacts import publish_folder
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

STEPPED = {
    "state": "inconclusive",
    "code": "gpu_out_of_memory",
    "changes": {"sorter_params": {"clear_cache": True, "batch_size": 30000}},
}


def main(plan: str, root: Path) -> int:
    folder = RunFolder(root)
    write_json(folder.started, processes.identify_self().to_json())
    spec = AttemptSpec.from_json(json.loads(folder.spec.read_text()))
    store = Path(urlparse(spec.artifacts_url).path)
    note_start(store.parent / "starts.jsonl", spec)
    ends = plan.split(",")
    end, _, code = ends[min(spec.number, len(ends)) - 1].partition(":")
    if end == "fail":
        return leave(folder, spec, Failure(FailureCode(code), "It broke.", rule_id="toy"))
    if end == "stepped" and code:
        failure = Failure(FailureCode(code), "It broke.", rule_id="toy")
        return leave(folder, spec, failure, STEPPED)
    if end == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if end in ("wait", "cling"):
        return last(folder, spec, clings=end == "cling")
    if end == "slow":
        time.sleep(0.3)
    if end in ("succeed", "vanish", "slow", "stepped"):
        publish(folder, spec, LocalArtifacts(store))
    if end == "vanish":
        os.kill(os.getpid(), signal.SIGKILL)
    return leave(folder, spec, None, STEPPED if end == "stepped" else {})


def note_start(path: Path, spec: AttemptSpec) -> None:
    line = {"name": spec.name, "attempt_id": spec.attempt_id, "config": spec.config}
    with path.open("a") as handle:
        handle.write(json.dumps(line) + "\n")


def success(spec: AttemptSpec) -> AttemptOutcome:
    return AttemptOutcome(spec.attempt_id, 0, n_units=3, n_spikes=900, duration_s=60.0)


def publish(folder: RunFolder, spec: AttemptSpec, store: LocalArtifacts) -> None:
    write_json(folder.result / "sorting" / "units.json", {"units": [1, 2, 3]})
    write_json(folder.result / "outcome.json", success(spec).to_json())
    publish_folder(store, spec.artifacts_prefix, folder.result)


def leave(
    folder: RunFolder,
    spec: AttemptSpec,
    failure: Failure | None,
    canary: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    outcome = success(spec)
    if failure is not None:
        code = BY_CODE[failure.code].exit_code or 112
        outcome = AttemptOutcome(spec.attempt_id, code, failure)
    outcome = replace(outcome, canary=dict(canary))
    write_json(folder.outcome, outcome.to_json())
    return outcome.exit_code


def last(folder: RunFolder, spec: AttemptSpec, *, clings: bool) -> int:
    """Stay until a stop comes; tell it, unless clinging."""

    def stopped(*_: object) -> None:
        if not clings:
            sys.exit(leave(folder, spec, Failure(FailureCode.ATTEMPT_INTERRUPTED, "Told to stop.")))

    signal.signal(signal.SIGTERM, stopped)
    said = {"step": "detect", "fraction": 0.5, "spikes": 40, "memory_bytes": 1e6}
    heartbeat = {"attempt_id": spec.attempt_id, "at": time.time(), "progress": said}
    write_json(folder.heartbeat, heartbeat)
    while True:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
