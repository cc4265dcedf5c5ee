"""What sorts as Jobs cost the controller: requests, CPU, seconds of a round, memory.

The cluster is the strict fake of the tests, in a process of its own, on a clock that this one
moves: rounds until nothing moves, then ten seconds of the cluster's time. Each sort finds that
nobody fired, so that every run has three attempts, one of which is a Job: preflight, sort, report.
CPU and memory are this process's for all of them, with their records; requests are the Job's.
The records lie in memory, so that a disk's time for durable writes is not in the seconds.
``BENCH_ATTEMPTS`` says how many.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
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

from spikefleet.core.config import resolve
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.runs import RunState
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, digest_manifest
from spikefleet.infra.launchers.base import Slots
from spikefleet.infra.launchers.kubernetes.api import ClusterApi
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms

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


def measure() -> tuple[dict[str, Any], bool]:
    """Return what an attempt costs, and whether the bounds are held."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    cluster = context.Process(target=_serve, args=(theirs,), daemon=True)
    cluster.start()
    url = ours.recv()
    with tempfile.TemporaryDirectory(prefix="bench-cluster-", dir=_IN_MEMORY) as folder:
        controlled = Controlled(Path(folder), launch=lambda _: _launcher(url))
        for number in range(ATTEMPTS):
            _submit(controlled, number)
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
        grown_bytes = psutil.Process().memory_info().rss - before_bytes
        ends = {str(k): v for k, v in controlled.runs.counts_by_state().items() if v}
        controlled.calls.close()
        controlled.database.close()
    ours.send(None)
    asked: Counter[str] = ours.recv()
    cluster.join(30)
    rounds_s.sort()
    result = {
        "attempts": ATTEMPTS,
        "ends": ends,
        "requests_per_attempt": round(asked.total() / ATTEMPTS, 2),
        "requests": dict(asked),
        "cpu_ms_per_run": round(1e3 * cpu_s / ATTEMPTS, 2),
        "cpu_ms_per_attempt": round(1e3 * cpu_s / (ATTEMPTS * STAGES), 2),
        "round_median_s": round(rounds_s[len(rounds_s) // 2], 3),
        "round_p99_s": round(rounds_s[int(len(rounds_s) * 0.99)], 3),
        "rounds": len(rounds_s),
        "grown_mb": round(grown_bytes / _MB, 1),
    }
    held = asked.total() / ATTEMPTS <= REQUESTS_LIMIT
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


if __name__ == "__main__":
    print(measure())
