"""An NWB file, opened by pynwb and judged by what DANDI asks for."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from nwbinspector import Importance, configure_checks, inspect_nwbfile, load_config
from pynwb import NWBHDF5IO

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.exports.nwb import write_nwb
from spikefleet.signal.exports.session_metadata import SessionMetadata, SessionPart, SubjectPart
from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.preparing.timeline import FileSpan, Timeline

KNOWN = SessionMetadata(
    session=SessionPart(
        session_start_time=datetime(2026, 11, 20, 18, tzinfo=UTC),
        experimenter=("Ramón y Cajal, Santiago",),
        institution="Institute",
    ),
    subject=SubjectPart(subject_id="m1", species="Mus musculus", sex="F", age="P90D"),
)


def worst(path: Path) -> list[str]:
    checks = configure_checks(config=load_config("dandi"))
    return [
        f"{found.check_function_name}: {found.message}"
        for found in inspect_nwbfile(nwbfile_path=path, checks=checks)
        if found.importance in (Importance.CRITICAL, Importance.ERROR, Importance.PYNWB_VALIDATION)
    ]


def test_the_units_are_read_back_with_spikes_in_original_seconds(
    everything: ExportSource, tmp_path: Path
) -> None:
    write_nwb(everything, tmp_path / "a.nwb", KNOWN)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        file = io.read()
        units = file.units.to_dataframe()
        assert len(units) == len(everything.units)
        for unit, (_, row) in zip(everything.units, units.iterrows(), strict=True):
            assert np.array_equal(row["spike_times"], unit.frames / 20_000.0)
            assert row["quality"] == ("good" if unit.fetched.passed else "rejected")
            assert np.abs(row["waveform_mean"]).max() == pytest.approx(
                unit.quality.amplitude_uv * 1e-6
            )
            assert row["electrodes"].iloc[0]["channel_name"] == unit.quality.channel_id
            assert row["obs_intervals"].tolist() == [[2.0, 12.0]]
        assert file.subject.species == "Mus musculus"
        assert file.identifier == "run-0123456789abcdef"
        assert len(file.electrodes) == 8


def test_metrics_and_labels_of_curation_are_columns_that_say_what_they_are(
    everything: ExportSource, tmp_path: Path
) -> None:
    write_nwb(everything, tmp_path / "a.nwb", KNOWN)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        units = io.read().units
        for name in ("contamination", "possible_duplicate", "label", "similarity"):
            told = [unit.fetched.metrics[name] for unit in everything.units]
            assert list(units[name][:]) == told
        assert "Llobet" in units["contamination"].description
        columns = [units[name] for name in units.colnames]
        assert all(column.description for column in columns)
        assert len({column.name for column in columns}) == len(columns) > 25


def test_recording_stream_and_every_stretch_that_was_sorted_are_named(
    everything: ExportSource, tmp_path: Path
) -> None:
    results = everything.results
    run = {**results.provenance["run"], "stream": "well003"}
    provenance = {**results.provenance, "run": run}
    files = (FileSpan("a.h5", 100_000), FileSpan("b.h5", 200_000))
    timeline = Timeline(20_000.0, files, ((40_000, 140_000), (200_000, 300_000)))
    joined = replace(
        everything,
        results=replace(results, provenance=provenance),
        data=replace(everything.data, timeline=timeline),
    )
    write_nwb(joined, tmp_path / "a.nwb", KNOWN)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        file = io.read()
        stretches = [[2.0, 5.0], [5.0, 7.0], [10.0, 15.0]]
        assert file.units["obs_intervals"][0].tolist() == stretches
        for name in ("lab/day/slice4", "well003", "a.h5, b.h5", "mountainsort5"):
            assert name in file.data_collection


def test_dandi_finds_nothing_critical(everything: ExportSource, tmp_path: Path) -> None:
    write_nwb(everything, tmp_path / "a.nwb", KNOWN)
    assert worst(tmp_path / "a.nwb") == []


def test_a_run_without_kept_units_is_a_valid_file_too(
    nothing: ExportSource, tmp_path: Path
) -> None:
    write_nwb(nothing, tmp_path / "a.nwb", KNOWN)
    assert worst(tmp_path / "a.nwb") == []
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert io.read().units is None


@pytest.mark.parametrize("known", [None, SessionMetadata(subject=KNOWN.subject)])
def test_what_is_missing_is_named_before_anything_is_written(
    known: SessionMetadata | None, source: ExportSource, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfigurationError, match=r"session\.session_start_time"):
        write_nwb(source, tmp_path / "a.nwb", known)
    assert list(tmp_path.iterdir()) == []
