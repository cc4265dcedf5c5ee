"""The parquet table, opened by pandas' and arrow's reader."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.exports.unit_table import write_parquet
from spikefleet.signal.units.export import UNIT_COLUMNS


def test_it_has_the_columns_of_the_csv_and_the_spikes(
    everything: ExportSource, tmp_path: Path
) -> None:
    write_parquet(everything, tmp_path / "u.parquet")
    table = pq.read_table(tmp_path / "u.parquet")
    assert {*UNIT_COLUMNS, "spike_times_s"} <= set(table.column_names)
    rows = table.to_pylist()
    assert len(rows) == len(everything.units)
    for unit, row in zip(everything.units, rows, strict=True):
        assert np.array_equal(row["spike_times_s"], unit.frames / 20_000.0)
        assert (row["unit_id"], row["passed"]) == (unit.quality.unit_id, unit.fetched.passed)
        assert row["snr"] == unit.quality.snr


def test_no_units_are_a_table_with_the_same_columns(
    source: ExportSource, nothing: ExportSource, tmp_path: Path
) -> None:
    write_parquet(source, tmp_path / "some.parquet")
    write_parquet(nothing, tmp_path / "none.parquet")
    some, none = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("some", "none"))
    assert none.num_rows == 0
    assert none.schema.equals(some.schema)


def test_the_file_says_whose_units_they_are(source: ExportSource, tmp_path: Path) -> None:
    write_parquet(source, tmp_path / "u.parquet")
    about = pq.read_schema(tmp_path / "u.parquet").metadata
    assert about[b"run_id"] == b"run-0123456789abcdef"
    assert float(about[b"sampling_rate_hz"]) == 20_000.0
