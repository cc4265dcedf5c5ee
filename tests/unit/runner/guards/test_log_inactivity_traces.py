"""Guards of silence against recorded sorts: healthy ones run through, hung ones end in time.

The traces are of real sorts of small recordings; see ``tests.support.sort_traces``.
"""

from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.sort_traces import Replay, Trace

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.runner.guards.io_stall import IOStallWatchdog, ProcessIO
from spikefleet.runner.guards.log_inactivity import (
    LONGEST_SILENCE,
    LogInactivityWatchdog,
    compute_inactivity_timeout_s,
)
from spikefleet.runner.guards.quiet import LOUD_STEPS, Surroundings, is_quiet

TRACES = Path(__file__).with_name("traces")
NAMES = sorted(path.stem for path in TRACES.glob("*.json"))
INTERVAL_S = 5.0
HOUR_S = 3600.0


def load(name: str) -> Trace:
    return Trace.read(TRACES / f"{name}.json")


def first_trip(trace: Trace, tmp_path: Path, duration_s: float) -> tuple[str, float] | None:
    """The guard that stops the sort and when; None when it runs through. Default settings."""
    log = tmp_path / "child.log"
    replay = Replay(trace, log)
    around = Surroundings(replay, lambda: replay.step)  # type: ignore[arg-type]
    timeout_s = compute_inactivity_timeout_s(600, 30, duration_s / 60, 7200)
    silence = LogInactivityWatchdog([log], timeout_s=timeout_s, surroundings=around)
    stall = IOStallWatchdog(ProcessIO(replay), stall_s=300)  # type: ignore[arg-type]
    every_s = max(INTERVAL_S, trace.moments[-1].at_s / 20_000)
    for now_s in replay.ticks(every_s):
        for guard in (silence, stall):
            if guard.read(now_s).trip is not None:
                return guard.name, now_s
    return None


def longest_gap_s(trace: Trace) -> float:
    spoken = [0.0]
    for before, moment in pairwise(trace.moments):
        if moment.log_bytes != before.log_bytes:
            spoken.append(moment.at_s)
    spoken.append(trace.moments[-1].at_s)
    return max(after - before for before, after in pairwise(spoken))


def test_there_is_a_trace_of_every_sorter_that_runs_without_a_gpu() -> None:
    recorded = {"kilosort4", "lupin", "mountainsort5", "spykingcircus2", "tridesclous2"}
    assert set(NAMES) == recorded
    assert recorded <= set(BACKENDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_sort_runs_through_at_its_own_pace_and_on_a_slow_machine(
    name: str, tmp_path: Path
) -> None:
    trace = load(name)
    assert first_trip(trace, tmp_path, trace.about["seconds"]) is None
    assert first_trip(trace.stretched(20, 20), tmp_path, trace.about["seconds"]) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_same_sort_with_hours_of_quiet_computing_runs_through(
    name: str, tmp_path: Path
) -> None:
    trace = load(name)
    factor = 10 * HOUR_S / longest_gap_s(trace)
    long = trace.stretched(factor)
    assert longest_gap_s(long) > 2 * HOUR_S, "longer than any silence allowed without work"
    assert first_trip(long, tmp_path, 24 * HOUR_S) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_sort_that_hangs_is_stopped_within_its_bound_wherever_it_hangs(
    name: str, tmp_path: Path
) -> None:
    trace, minutes = load(name), 30.0
    timeout_s = compute_inactivity_timeout_s(600, 30, minutes, 7200)
    steps = dict.fromkeys(moment.step for moment in trace.moments if moment.step)
    assert steps
    for step in steps:
        hung_at_s = next(m.at_s for m in trace.moments if m.step == step)
        found = first_trip(trace.cut(step, for_s=3 * timeout_s), tmp_path, 60 * minutes)
        assert found is not None, step
        assert found[0] == "log_inactivity"
        assert 0 < found[1] - hung_at_s <= timeout_s + 2 * INTERVAL_S


@pytest.mark.parametrize("name", NAMES)
def test_a_sort_that_spins_for_ever_has_a_bound_too(name: str, tmp_path: Path) -> None:
    trace = load(name)
    timeout_s = compute_inactivity_timeout_s(600, 30, 1, 7200)
    steps = dict.fromkeys(moment.step for moment in trace.moments if moment.step)
    assert steps
    for step in steps:
        bound_s = timeout_s * (LONGEST_SILENCE if is_quiet(step) else 1)
        spinning = trace.cut(step, cpu_cores=1.0, for_s=bound_s + 100)
        found = first_trip(spinning, tmp_path, 60)
        assert found is not None, (step, step in LOUD_STEPS)
        assert found[1] <= spinning.moments[-2].at_s + bound_s + 2 * INTERVAL_S
