"""Where silence is work, and where it is a stall."""

import time

import pytest
from tests.support.attempts import wait_for
from tests.support.families import family

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.system.process_tree import ProcessTree
from spikefleet.runner.guards.quiet import LOUD_STEPS, QuietWork, Surroundings, is_quiet


def test_every_loud_step_is_one_that_some_sorter_or_the_child_names() -> None:
    named = {rule.step for info in BACKENDS.values() for rule in info.progress} | {"load"}
    assert named >= LOUD_STEPS


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_every_sorter_may_be_silent_while_it_clusters(name: str) -> None:
    steps = [rule.step for rule in BACKENDS[name].progress if rule.step]
    assert all(is_quiet(step) for step in steps if "cluster" in step)
    assert not steps or any(is_quiet(step) for step in steps)


def test_a_step_nobody_knows_may_be_silent() -> None:
    assert is_quiet("")
    assert is_quiet("some new stage")


def test_real_cpu_time_is_life_in_a_quiet_step_only() -> None:
    with family("x = 0\nwhile True: x += 1") as root:
        tree = ProcessTree(root)
        wait_for(lambda: (sample := tree.read()) is not None and sample.cpu_s > 0.05)
        quiet = QuietWork(Surroundings(tree, lambda: "final clustering"))
        loud = QuietWork(Surroundings(tree, lambda: "detect"))
        assert not quiet.is_going_on(time.monotonic()), "one look tells no difference"
        loud.is_going_on(time.monotonic())
        time.sleep(0.5)
        assert quiet.is_going_on(time.monotonic())
        assert quiet.busy_cores > 0.1
        assert not loud.is_going_on(time.monotonic())
    assert not quiet.is_going_on(time.monotonic() + 1)
    assert quiet.busy_cores == 0


def test_a_busy_gpu_is_life_where_the_cpu_waits() -> None:
    nobody = ProcessTree(1 << 30)
    for busy, expected in ((0.9, True), (0.01, False), (None, False)):
        work = QuietWork(Surroundings(nobody, lambda: "drift", lambda busy=busy: busy))
        assert work.is_going_on(0.0) is expected
