"""Every panel of the dashboards has an answer from a Prometheus that watches a running service."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.e2e.conftest import SORTER
from tests.support.prometheus import Prometheus, prometheus_program
from tests.support.recordings import make_recording
from tests.support.service import Service

from spikefleet.core.runs import RunState
from spikefleet.infra import telemetry
from spikefleet.infra.metrics import Metrics

pytestmark = pytest.mark.slow
MONITORING = Path(__file__).resolve().parents[2] / "charts" / "spikefleet" / "monitoring"
PANELS = [
    pytest.param(panel, id=f"{path.stem}-{panel['title']}")
    for path in sorted((MONITORING / "dashboards").glob("*.json"))
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
]
_WATCHED_S = 240.0


def _beside() -> Metrics:
    """What no machine can be made to tell: a GPU, a lane on hold. Served by the same code."""
    own = {"run_id": "run-with-gpu", "backend": "kilosort4"}
    metrics = Metrics()
    for signal, value in (("used_ratio", 0.5), ("temperature_celsius", 61.0),
                          ("utilization_ratio", 0.9)):  # fmt: skip
        labels = own | {"guard": "gpu_memory", "signal": signal}
        metrics.set(telemetry.GUARD_VALUE, value, **labels)
    for kind, value in (("abort_ratio", 0.95), ("abort_celsius", 90.0)):
        labels = own | {"guard": "gpu_memory", "threshold": kind}
        metrics.set(telemetry.GUARD_THRESHOLD, value, **labels)
    metrics.set(telemetry.GUARD_ADVISORY, 1, **own, guard="io_stall", reason="a dead mount")
    metrics.set(telemetry.ATTEMPT_CANARY, 1, **own, state="passed")
    metrics.set(telemetry.ATTEMPT_SPIKES, 12_000, **own)
    metrics.set(telemetry.NODE_FINDING, 1, **own, level="warn", finding="gpu_driver_too_old")
    metrics.set(telemetry.HOLDS, 1, lane="kilosort4")
    metrics.set(telemetry.ATTEMPTS_LIVE, 2, backend="kilosort4", stage="sort", device="gpu",
                phase="node")  # fmt: skip
    return metrics


class Watched:
    """A service that has sorted, the Prometheus that watched it, and the run it sorted."""

    def __init__(self, service: Service, prometheus: Prometheus, run_id: str) -> None:
        self.service, self.prometheus, self.run_id = service, prometheus, run_id

    def answer(self, query: str) -> list[Any]:
        """The answer of a query of all sorters; of one run where the panel is of one."""
        query = re.sub(r"\$(backend|namespace|release)\b", ".*", query)
        ask = self.prometheus.ask_range
        for run_id in (self.run_id, "run-with-gpu"):
            found = ask(query.replace("$run_id", run_id), _WATCHED_S)
            if found:
                return found
        return []


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One recording was sorted and one could not be, while Prometheus looked on."""
    prometheus_program()
    folder = tmp_path_factory.mktemp("watched")
    beside = _beside()
    service = Service(folder / "data").start()
    prometheus = Prometheus(
        folder / "prometheus",
        targets=folder / "data" / "metrics_targets.json",
        beside=beside.serve(0),
        rules=MONITORING / "alerts.yaml",
    )
    try:
        prometheus.wait_until_ready()
        good = make_recording(folder / "good", seconds=40.0, channels=16, units=4, seed=3).path
        empty = make_recording(folder / "empty", seconds=20.0, channels=16, units=0, seed=4).path
        with service.client() as client:
            runs = [client.submit(path, SORTER, in_place=False).run_ids[0]
                    for path in (good, empty)]  # fmt: skip
            ended = client.wait(runs, timeout_s=200)
        assert [run.state for run in ended] == [RunState.SUCCEEDED, RunState.SKIPPED]
        time.sleep(5)  # two scrapes and more, so that what grows has grown
        yield Watched(service, prometheus, runs[0])
    finally:
        prometheus.close()
        beside.close()
        service.close()


@pytest.mark.parametrize("panel", PANELS)
def test_every_query_of_a_panel_is_answered(watched: Watched, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert watched.answer(target["expr"]), target["expr"]


def test_prometheus_takes_every_alert_rule(watched: Watched) -> None:
    rules = YAML(typ="safe").load(MONITORING / "alerts.yaml")["groups"][0]["rules"]
    assert sorted(watched.prometheus.alerts()) == sorted(rule["alert"] for rule in rules)
