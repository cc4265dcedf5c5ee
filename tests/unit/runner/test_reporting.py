"""Guards as series, as a scrape would see them."""

from pathlib import Path

from tests.support.attempts import make_spec

from spikefleet.core.attempts import RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import read_json
from spikefleet.core.guards.base import Reading
from spikefleet.infra.metrics import Metrics
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.reporting import HEARTBEAT_S, AttemptProgress, Reporter, SilentSink


class Scripted:
    name, interval_s, thresholds = "gpu_memory", 1.0, {"abort_ratio": 0.95}

    def __init__(self, *readings: Reading) -> None:
        self._readings = list(readings)

    def read(self, now_s: float) -> Reading:
        return self._readings.pop(0)


def test_every_signal_threshold_warning_trip_and_blindness_is_a_series(tmp_path: Path) -> None:
    failure = Failure(FailureCode.GPU_MEMORY_WATCHDOG, "full")
    guard = Scripted(
        Reading("gpu_memory", advisory="NVML does not answer"),
        Reading("gpu_memory", {"used_ratio": 0.9}, warning="90 % full"),
        Reading("gpu_memory", {"used_ratio": 0.97}, trip=failure),
    )
    metrics, guards, folder = Metrics(), GuardLoop([guard]), RunFolder(tmp_path / "attempt")
    reporter = Reporter(make_spec(tmp_path), folder, metrics, SilentSink())

    def scrape(step: str) -> str:
        guards.poll(float(len(step)))
        reporter.tell(AttemptProgress(step=step), guards)
        return metrics.render()

    labels = 'backend="lupin",guard="gpu_memory"'
    blind = scrape("a")
    assert f"spikefleet_guard_warnings_total{{{labels}}} 0.0" in blind
    assert f"spikefleet_guard_trips_total{{{labels}}} 0.0" in blind
    assert f'spikefleet_guard_advisory{{{labels},reason="NVML does not answer",run_id' in blind
    assert f'spikefleet_guard_readable{{{labels},run_id="run"}} 0.0' in blind
    assert f'spikefleet_guard_threshold{{{labels},run_id="run",threshold="abort_ratio"}} 0.95' in (
        blind
    )
    heartbeat = read_json(folder.heartbeat) or {}
    assert heartbeat["advisories"] == {"gpu_memory": "NVML does not answer"}
    seeing = scrape("bb")
    assert "spikefleet_guard_advisory{" not in seeing
    assert f'spikefleet_guard_readable{{{labels},run_id="run"}} 1.0' in seeing
    assert f"spikefleet_guard_warnings_total{{{labels}}} 1.0" in seeing
    tripped = scrape("ccc")
    assert f'spikefleet_guard_value{{{labels},run_id="run",signal="used_ratio"}} 0.97' in tripped
    assert f"spikefleet_guard_trips_total{{{labels}}} 1.0" in tripped
    assert reporter.step == "ccc"
    assert HEARTBEAT_S > 0
