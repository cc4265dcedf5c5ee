"""The chart's rooms sort a recording: from a rig's submission to the report, by Jobs of a cluster.

The cluster is a strict fake under the Role of the chart; its kubelet starts the Job's container as
a real process, from nothing but the manifest.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import BatchV1Api
from tests.e2e.conftest import SORTER
from tests.house.charts import render
from tests.kubefake.access import Use
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.processes import ImageStandIn
from tests.support.chart_rooms import ChartRooms

from spikefleet.client.sorting import SortingClient
from spikefleet.core.runs import RunState

SERVICES = Path(__file__).resolve().parents[2] / "services"
IMAGE = ImageStandIn(
    env={
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SERVICES),
        "NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"],
    },
    programs={"python": sys.executable},
)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[ChartRooms]:
    objects = render("minimal-values.yaml")
    with KubeFake(speed=1.0) as fake:
        node = fake.nodes["node1"]
        room = {"cpu": "8", "memory": "64Gi", "ephemeral-storage": "200Gi"}
        node.capacity = {**node.capacity, **room}
        images = {"spikefleet-cpu-sorters:0.1.0": IMAGE}
        with fake.processes(tmp_path / "pods", images):
            deployed = ChartRooms(tmp_path / "rooms", objects, fake)
            try:
                yield deployed.start()
            finally:
                deployed.close()


def test_a_recording_becomes_units_and_a_report_by_a_job(
    rooms: ChartRooms, recording: Path
) -> None:
    with SortingClient(rooms.address("ingest")) as client:
        batch = client.submit(recording, SORTER, in_place=False)
        (run,) = client.wait(batch.run_ids, timeout_s=240)
        assert run.state is RunState.SUCCEEDED, (run.failure, rooms.log("lab-controller")[-3000:])
        assert run.result["n_units_curated"] > 0
        assert client.report(run.run_id).report["status"] == "success"
    assert Use("batch", "jobs", "create") in rooms.fake.access.used
    (job,) = BatchV1Api(rooms.fake.client()).list_namespaced_job(NAMESPACE).items
    assert [each.type for each in job.status.conditions] == ["SuccessCriteriaMet", "Complete"]
    assert job.spec.ttl_seconds_after_finished, "its outcome is on record, so it may go"
    assert rooms.stop() == dict.fromkeys(rooms.processes, 0)
