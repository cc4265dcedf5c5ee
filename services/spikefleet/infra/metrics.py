"""The one door to prometheus_client: turns ``infra.telemetry`` constants into live series.

Only catalogued series can be written, each with exactly its own labels. Values that live in a
store rather than in this process are read at scrape time through ``collect_from``.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Lock

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from spikefleet.infra.telemetry import BUILD_INFO, Series, SeriesKind

_Live = prometheus_client.Counter | prometheus_client.Gauge | prometheus_client.Histogram


@dataclass(frozen=True)
class Measured:
    """One value of a series, read from somewhere else at scrape time."""

    series: Series
    value: float
    labels: dict[str, str] = field(default_factory=dict)


class _ScrapedValues:
    """Asks a reader at every scrape; gauges and counters only."""

    def __init__(self, read: Callable[[], Iterable[Measured]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield one family per series, as prometheus_client wants them."""
        grouped: dict[Series, list[Measured]] = defaultdict(list)
        for measured in self._read():
            grouped[measured.series].append(measured)
        for series, values in grouped.items():
            make = CounterMetricFamily if series.kind is SeriesKind.COUNTER else GaugeMetricFamily
            family = make(series.name, series.question, labels=series.labels)
            for measured in values:
                _check_labels(series, measured.labels)
                family.add_metric([measured.labels[name] for name in series.labels], measured.value)
            yield family

    def describe(self) -> list[Metric]:
        """Nothing in advance: reading the store at registration would be too early."""
        return []


class Metrics:
    """A registry of live series. Thread-safe, as prometheus_client is.

    Raises ValueError when a series is written with labels other than its own, TypeError when its
    kind does not do that.
    """

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        self._live: dict[Series, _Live] = {}
        self._server: object | None = None
        self._lock = Lock()
        self.set(BUILD_INFO, 1, version=version("spikefleet"), python=platform.python_version())

    def set(self, series: Series, value: float, **labels: str) -> None:
        """Set a gauge."""
        live = self._find(series, labels)
        if not isinstance(live, prometheus_client.Gauge):
            raise TypeError(f"{series.name} is not a gauge")
        (live.labels(**labels) if labels else live).set(value)

    def add(self, series: Series, amount: float = 1, **labels: str) -> None:
        """Add to a counter (or a gauge)."""
        live = self._find(series, labels)
        if isinstance(live, prometheus_client.Histogram):
            raise TypeError(f"{series.name} is a histogram; observe it")
        (live.labels(**labels) if labels else live).inc(amount)

    def begin(self, series: Series, **labels: str) -> None:
        """Show a counter or histogram at zero before its first event.

        A series that appears with its first event has no increase for Prometheus.
        """
        live = self._find(series, labels)
        if isinstance(live, prometheus_client.Gauge):
            raise TypeError(f"{series.name} is a gauge; set it")
        if labels:
            live.labels(**labels)

    def observe(self, series: Series, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        live = self._find(series, labels)
        if not isinstance(live, prometheus_client.Histogram):
            raise TypeError(f"{series.name} is not a histogram")
        (live.labels(**labels) if labels else live).observe(value)

    def clear(self, series: Series) -> None:
        """Forget every labelled value of a series, so that stale ones are not scraped."""
        live = self._live.get(series)
        if live is not None and series.labels:
            live.clear()

    def collect_from(self, read: Callable[[], Iterable[Measured]]) -> None:
        """Read gauges and counters from elsewhere at every scrape (from the scrape's thread)."""
        self._registry.register(_ScrapedValues(read))

    def render(self) -> str:
        """Return the exposition text a scrape would get."""
        return prometheus_client.generate_latest(self._registry).decode()

    def serve(self, port: int, *, address: str = "127.0.0.1") -> int:
        """Serve /metrics on ``port`` (0 = any free one) in a daemon thread; return the port.

        Raises OSError when the port is taken, RuntimeError when already serving.
        """
        if self._server is not None:
            raise RuntimeError("these metrics are served already")
        try:
            server, _ = prometheus_client.start_http_server(port, address, self._registry)
        except OSError as error:
            raise OSError(
                f"/metrics cannot be served at {address}:{port} ({error.strerror}); name another "
                "port, or 0 for a free one"
            ) from error
        self._server = server
        return int(server.server_port)

    def close(self) -> None:
        """Stop serving. Safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            for name in ("shutdown", "server_close"):
                getattr(server, name)()

    def _find(self, series: Series, labels: dict[str, str]) -> _Live:
        _check_labels(series, labels)
        with self._lock:
            live = self._live.get(series)
            if live is None:
                live = self._live[series] = self._make(series)
        return live

    def _make(self, series: Series) -> _Live:
        if series.kind is SeriesKind.COUNTER:
            return prometheus_client.Counter(
                series.name, series.question, series.labels, registry=self._registry
            )
        if series.kind is SeriesKind.HISTOGRAM:
            buckets = series.buckets or prometheus_client.Histogram.DEFAULT_BUCKETS
            return prometheus_client.Histogram(
                series.name,
                series.question,
                series.labels,
                buckets=buckets,
                registry=self._registry,
            )
        return prometheus_client.Gauge(
            series.name, series.question, series.labels, registry=self._registry
        )


def _check_labels(series: Series, labels: dict[str, str]) -> None:
    if set(labels) != set(series.labels):
        raise ValueError(f"{series.name} takes the labels {series.labels}, not {tuple(labels)}")
