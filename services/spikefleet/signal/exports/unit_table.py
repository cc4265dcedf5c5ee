"""The units as a parquet table: a row for each, its metrics, and its spikes as a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.units.metric_definitions import metric_definitions

_TEXT = ("unit_id", "failed_on", "label", "label_why", "channel_id", "similar_unit")
_COUNTS = (
    "spike_count",
    "isi_violation_count",
    "rp_violations",
    "num_positive_peaks",
    "num_negative_peaks",
    "channel_index",
)
_FLAGS = ("passed", "has_positive_peak", "possible_duplicate")
_NUMBERS = tuple(name for name in metric_definitions() if name not in {*_TEXT, *_COUNTS, *_FLAGS})


def write_parquet(source: ExportSource, path: Path) -> None:
    """Write the columns of ``units.csv`` and ``spike_times_s`` (original seconds, ascending).

    What could not be measured is null.
    """
    rate_hz = source.data.sampling_rate_hz
    rows: list[dict[str, Any]] = [
        {
            **unit.fetched.metrics,
            **unit.quality.to_json(),
            "passed": unit.fetched.passed,
            "failed_on": unit.fetched.failed_on,
            "spike_times_s": unit.frames / rate_hz,
        }
        for unit in source.units
    ]
    about = {"run_id": source.results.run_id, "sampling_rate_hz": repr(rate_hz)}
    table = pa.Table.from_pylist(rows, schema=_schema().with_metadata(about))
    pq.write_table(table, path)


def _schema() -> Any:
    kinds = (
        (_TEXT, pa.string()),
        (_FLAGS, pa.bool_()),
        (_COUNTS, pa.int64()),
        (_NUMBERS, pa.float64()),
        (("spike_times_s",), pa.list_(pa.float64())),
    )
    return pa.schema([pa.field(name, kind) for names, kind in kinds for name in names])
