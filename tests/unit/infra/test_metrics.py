"""Telemetry constants as live series."""

import urllib.request
from contextlib import closing

import pytest

from spikefleet.infra import telemetry
from spikefleet.infra.metrics import Measured, Metrics


def test_series_are_served_under_their_catalogued_names() -> None:
    metrics = Metrics()
    metrics.set(telemetry.UPLOADS_OPEN, 2)
    metrics.add(telemetry.GUARD_TRIPS, backend="lupin", guard="disk")
    metrics.observe(telemetry.RPC_DURATION, 0.01, service="s", method="m")
    with closing(metrics):
        port = metrics.serve(0)
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
    assert "spikefleet_uploads_open 2.0" in text
    assert 'spikefleet_guard_trips_total{backend="lupin",guard="disk"} 1.0' in text
    assert 'spikefleet_rpc_duration_seconds_bucket{le="0.02",method="m",service="s"} 1.0' in text
    assert "spikefleet_build_info{" in text
    assert "_created" not in text


def test_a_counter_is_shown_at_zero_before_its_first_event() -> None:
    metrics = Metrics()
    metrics.begin(telemetry.RECONCILE_ERRORS)
    metrics.begin(telemetry.SORTED_SECONDS, backend="lupin")
    metrics.begin(telemetry.QUEUE_WAIT, backend="lupin")
    text = metrics.render()
    assert "spikefleet_reconcile_errors_total 0.0" in text
    assert 'spikefleet_sorted_recording_seconds_total{backend="lupin"} 0.0' in text
    assert 'spikefleet_queue_wait_seconds_count{backend="lupin"} 0.0' in text
    metrics.add(telemetry.SORTED_SECONDS, 5, backend="lupin")
    metrics.begin(telemetry.SORTED_SECONDS, backend="lupin")
    assert 'spikefleet_sorted_recording_seconds_total{backend="lupin"} 5.0' in metrics.render()
    with pytest.raises(TypeError, match="gauge"):
        metrics.begin(telemetry.UPLOADS_OPEN)


def test_a_closed_port_can_be_served_again() -> None:
    metrics = Metrics()
    port = metrics.serve(0)
    with pytest.raises(RuntimeError, match="already"):
        metrics.serve(0)
    metrics.close()
    metrics.close()
    assert metrics.serve(port) == port
    metrics.close()


def test_values_of_a_store_are_read_at_every_scrape() -> None:
    stored = {"queued": 1.0}
    metrics = Metrics()
    metrics.collect_from(
        lambda: [Measured(telemetry.RUNS, n, {"state": s}) for s, n in stored.items()]
    )
    assert 'spikefleet_runs{state="queued"} 1.0' in metrics.render()
    stored["queued"] = 5.0
    assert 'spikefleet_runs{state="queued"} 5.0' in metrics.render()


def test_a_cleared_series_is_not_scraped_any_more() -> None:
    metrics = Metrics()
    metrics.set(telemetry.ATTEMPT_STEP, 1, run_id="r", backend="b", step="load")
    metrics.clear(telemetry.ATTEMPT_STEP)
    metrics.set(telemetry.ATTEMPT_STEP, 1, run_id="r", backend="b", step="sort")
    assert 'step="load"' not in metrics.render()
    assert 'step="sort"' in metrics.render()


def test_a_series_is_written_with_its_own_labels_and_kind_only() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="takes the labels"):
        metrics.set(telemetry.RUNS, 1)
    with pytest.raises(TypeError, match="not a gauge"):
        metrics.set(telemetry.RECONCILE_ERRORS, 1)
    with pytest.raises(TypeError, match="not a histogram"):
        metrics.observe(telemetry.UPLOADS_OPEN, 1)


def test_a_taken_port_is_named_with_what_to_do() -> None:
    first, second = Metrics(), Metrics()
    with closing(first):
        port = first.serve(0)
        with pytest.raises(OSError, match=f"{port}.*name another port"):
            second.serve(port)
