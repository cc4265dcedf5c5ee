"""Whatever is killed, the run ends on record: one result, no orphan, every cause decided."""

import signal
import subprocess
import sys

import psutil
import pytest
from tests.e2e.conftest import SORTER
from tests.support.service import suspend, wait_for

from spikefleet.core.runs import RunState
from spikefleet.deploy.service_file import read_service_file


def failures(client, run_id):
    """Codes of the failed sort attempts and the decisions that followed, in order."""
    run = client.get(run_id)
    codes = [str(a.failure.code) for a in run.attempts if a.failure and a.stage == "sort"]
    kinds = [e.kind for e in client.events(run_id) if e.kind.startswith("decision.")]
    return codes, kinds


def test_a_killed_service_finds_its_running_sort_again(make_service, recording):
    service = make_service()
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        parent = service.wait_for_process("spikefleet.deploy.attempt")
        child = service.wait_for_process("spikefleet.runner.child")
        service.kill()
        assert parent.is_running()
        assert child.is_running()
    service.start()
    with service.client() as client:
        (run,) = client.wait([run_id], timeout_s=200)
        assert run.state is RunState.SUCCEEDED, run.failure
        attempts = [a for a in client.get(run_id).attempts if a.stage == "sort"]
    assert [str(a.state) for a in attempts] == ["succeeded"]
    wait_for(lambda: service.process_of("spikefleet.deploy.attempt") is None, 20, "no parent")
    assert service.process_of("spikefleet.runner.child") is None
    manifests = list((service.data_dir / "artifacts" / "runs" / run_id).glob("*/sort-*/manifest*"))
    assert len(manifests) == 1


def test_a_sort_that_ended_while_the_service_was_dead_is_taken_up(make_service, recording):
    service = make_service()
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        parent = service.wait_for_process("spikefleet.deploy.attempt")
    service.kill()
    parent.wait(timeout=200)
    service.start()
    with service.client() as client:
        (run,) = client.wait([run_id], timeout_s=100)
        assert run.state is RunState.SUCCEEDED, run.failure
        assert len([a for a in client.get(run_id).attempts if a.stage == "sort"]) == 1


def test_a_killed_sorter_is_a_crash_and_is_tried_once_more(make_service, recording):
    service = make_service()
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        service.wait_for_process("spikefleet.runner.child").send_signal(signal.SIGKILL)
        (run,) = client.wait([run_id], timeout_s=240)
        assert run.state is RunState.SUCCEEDED, run.failure
        assert failures(client, run_id) == (["sorter_crash"], ["decision.retry_same"])


def test_a_killed_runner_is_lost_and_leaves_no_orphan(make_service, recording):
    service = make_service()
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        child = service.wait_for_process("spikefleet.runner.child")
        parent = service.process_of("spikefleet.deploy.attempt")
        assert parent is not None
        parent.send_signal(signal.SIGKILL)
        child.wait(timeout=20)
        (run,) = client.wait([run_id], timeout_s=240)
        assert run.state is RunState.SUCCEEDED, run.failure
        assert failures(client, run_id) == (["lost"], ["decision.retry_same"])


def test_a_suspended_sorter_is_stalled_and_its_group_is_killed(make_service, recording):
    service = make_service()
    quick = {"sorter_inactivity_base_s": 4.0, "sorter_inactivity_per_min_s": 0.0}
    with service.client() as client:
        run_id = client.submit(recording, SORTER, **quick).run_ids[0]
        for _ in range(2):
            child = service.wait_for_process("spikefleet.runner.child", 90)
            suspend(child)
            child.wait(timeout=60)
        (run,) = client.wait([run_id], timeout_s=60)
        assert run.status == "sorter_timeout"
        codes, kinds = failures(client, run_id)
    assert codes == ["sorter_timeout", "sorter_timeout"]
    assert kinds == ["decision.retry_elsewhere", "decision.skip"]
    assert service.process_of("spikefleet.runner.child") is None


def test_a_cancelled_run_stops_its_sorter(make_service, recording):
    service = make_service()
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        child = service.wait_for_process("spikefleet.runner.child")
        client.cancel(run_id, "not needed")
        child.wait(timeout=60)
        (run,) = client.wait([run_id], timeout_s=60)
    assert (run.state, run.status) == (RunState.CANCELLED, "cancelled")


def test_a_stopped_service_ends_in_order_and_its_runs_go_on_later(make_service, recording):
    service = make_service("--stop-attempts-on-exit")
    with service.client() as client:
        run_id = client.submit(recording, SORTER).run_ids[0]
        service.wait_for_process("spikefleet.runner.child")
    assert service.stop() == 0
    assert service.processes() == []
    service.start()
    with service.client() as client:
        (run,) = client.wait([run_id], timeout_s=240)
        assert run.state is RunState.SUCCEEDED, run.failure
        assert failures(client, run_id)[0] == ["attempt_interrupted"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_takes_its_service_with_it(tmp_path, number):
    command = [sys.executable, "-m", "spikefleet.cli.main", "demo", "--sorter", SORTER]
    demo = subprocess.Popen([*command, "--out", tmp_path], stdout=subprocess.DEVNULL)
    try:
        announced = wait_for(lambda: read_service_file(tmp_path / "service"), 60, "a service")
        service = psutil.Process(announced.pid)
        demo.send_signal(number)
        assert demo.wait(60) == -number
    finally:
        demo.kill()
    wait_for(lambda: is_gone(service), 60, "the end of the service")
    assert read_service_file(tmp_path / "service") is None


def is_gone(process):
    """Ended, though its new parent may not have reaped it."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
