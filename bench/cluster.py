"""What sorts as Jobs cost the controller: requests, CPU, seconds to a decision, memory.

The cluster is the strict fake of the tests, in a process of its own, on a clock that this one
moves: rounds until nothing moves, then ten seconds of the cluster's time. Each sort finds that
nobody fired, so that every run has three attempts, one of which is a Job: preflight, sort, report.
CPU and memory are this process's for all of them, with their records; requests are the Job's.
A decision's latency is from the moment the cluster shows that a sort's Job has ended to the commit
of what follows. The records lie in memory, so that a disk's time for durable writes is not in the
seconds. ``python -m bench.cluster --attempts N`` (or ``BENCH_ATTEMPTS``) says how many.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from kubernetes import client
from tests.kubefake.cluster import NAMESPACE, TOKEN, KubeFake
from tests.kubefake.script import Exit, Script
from tests.support.attempt_documents import Documents
from tests.support.controlled import Controlled
from tests.support.runner_profiles import CPU, runners

from spikefleet.core.attempts import Stage
from spikefleet.core.config import resolve
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, digest_manifest
from spikefleet.infra.launchers.base import Slots
from spikefleet.infra.launchers.kubernetes.api import ClusterApi
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms
from spikefleet.infra.stores.sql.run_values import AttemptEnd

ATTEMPTS = int(os.environ.get("BENCH_ATTEMPTS", "5000"))
SLOTS = 64
ROUND_S, SORT_S, KEPT_S = 10.0, 120.0, 60
NO_ACTIVITY = 80
STAGES = 3  # of every run here: preflight, the sort, the report; an attempt of each
REQUESTS_LIMIT, CPU_LIMIT_MS = 12.0, 20.0
_MB = 1e6
_IN_MEMORY = "/dev/shm"


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    """The cluster: moves its clock when told, and counts what it is asked."""
    script = Script(runs_s=SORT_S, exit=Exit(NO_ACTIVITY))
    with KubeFake(script=script) as fake:
        room = {"cpu": "4096", "memory": "4096Ti", "ephemeral-storage": "4096Ti", "pods": "9999"}
        fake.nodes["node1"].capacity = room
        owner = {"metadata": {"name": "lab-runners"}}
        client.CoreV1Api(fake.client()).create_namespaced_config_map(NAMESPACE, owner)
        fake.surface.requests.clear()
        pipe.send(fake.url)
        while (told := pipe.recv()) is not None:
            fake.advance(told)
            fake.forget_history()
            pipe.send(None)
        pipe.send(Counter(one.method for one in fake.surface.requests))


def _launcher(url: str) -> KubernetesLauncher:
    configuration = client.Configuration()
    configuration.host = url
    configuration.api_key = {"authorization": f"Bearer {TOKEN}"}
    configuration.retries = False
    api = ClusterApi(client.ApiClient(configuration), NAMESPACE)
    profiles = runners(profiles={"default": CPU}, s3Secret="", namespace=NAMESPACE)
    terms = LauncherTerms(slots=Slots(SLOTS, SLOTS), kept_s=KEPT_S)
    return KubernetesLauncher(api, profiles, Documents(), terms=terms)


class _Decisions:
    """Notes for every end of a sort how long after the cluster showed it it was recorded."""

    def __init__(self, controlled: Controlled) -> None:
        self.shown_s = time.perf_counter()
        self.latencies_s: list[float] = []
        self._finish = controlled.runs.finish_attempt
        controlled.runs.finish_attempt = self._finish_timed  # type: ignore[method-assign]

    def _finish_timed(self, run: Run, attempt: Attempt, end: AttemptEnd) -> Any:
        found = self._finish(run, attempt, end)
        if attempt.stage is Stage.SORT:
            self.latencies_s.append(time.perf_counter() - self.shown_s)
        return found


def measure(attempts: int = ATTEMPTS) -> tuple[dict[str, Any], bool]:
    """Return what an attempt costs, and whether the bounds are held."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    cluster = context.Process(target=_serve, args=(theirs,), daemon=True)
    cluster.start()
    url = ours.recv()
    with tempfile.TemporaryDirectory(prefix="bench-cluster-", dir=_IN_MEMORY) as folder:
        controlled = Controlled(Path(folder), launch=lambda _: _launcher(url))
        for number in range(attempts):
            _submit(controlled, number)
        decisions = _Decisions(controlled)
        before_bytes = psutil.Process().memory_info().rss
        rounds_s: list[float] = []
        cpu_s = 0.0
        while _open(controlled):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            while controlled.reconciler.step():
                continue
            rounds_s.append(time.perf_counter() - began_s)
            cpu_s += time.process_time() - began_cpu_s
            ours.send(ROUND_S)
            ours.recv()
            decisions.shown_s = time.perf_counter()
        rss_bytes = psutil.Process().memory_info().rss
        ends = {str(k): v for k, v in controlled.runs.counts_by_state().items() if v}
        controlled.calls.close()
        controlled.database.close()
    ours.send(None)
    asked: Counter[str] = ours.recv()
    cluster.join(30)
    rounds_s.sort()
    latencies_s = sorted(decisions.latencies_s)
    result = {
        "attempts": attempts,
        "ends": ends,
        "requests_per_attempt": round(asked.total() / attempts, 2),
        "requests": dict(asked),
        "cpu_ms_per_run": round(1e3 * cpu_s / attempts, 2),
        "cpu_ms_per_attempt": round(1e3 * cpu_s / (attempts * STAGES), 2),
        "round_median_s": round(rounds_s[len(rounds_s) // 2], 3),
        "round_p99_s": round(rounds_s[int(len(rounds_s) * 0.99)], 3),
        "rounds": len(rounds_s),
        "decisions": len(latencies_s),
        "decision_median_s": round(latencies_s[len(latencies_s) // 2], 3),
        "decision_p99_s": round(latencies_s[int(len(latencies_s) * 0.99)], 3),
        "grown_mb": round((rss_bytes - before_bytes) / _MB, 1),
        "rss_mb": round(rss_bytes / _MB, 1),
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    held = asked.total() / attempts <= REQUESTS_LIMIT
    return result, held and result["cpu_ms_per_attempt"] <= CPU_LIMIT_MS


def _submit(controlled: Controlled, number: int) -> None:
    files = (ManifestFile("recording.bin", 7, f"{number:064x}"),)
    recording = Recording(
        f"rec-{number}",
        RecordingName("lab", "monday", f"{number:05}"),
        files,
        digest_manifest(files),
        str(controlled.folder / "absent"),
        in_place=True,
    )
    kept = controlled.recordings.add(recording).recording_id
    controlled.wishes.create_batch(BatchWish([(kept, "")], resolve("lupin", {})))


def _open(controlled: Controlled) -> int:
    counts = controlled.runs.counts_by_state()
    ended = (RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED, RunState.CANCELLED)
    return sum(count for state, count in counts.items() if state not in (*ended, RunState.HELD))


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="runs, each with one Job")
    found, is_held = measure(parser.parse_args().attempts)
    print(json.dumps({"held": is_held, **found}, indent=1))
    sys.exit(0 if is_held else 1)


if __name__ == "__main__":
    _main()
