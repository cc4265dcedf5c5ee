"""What an export is made of."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.fetched_run import FIRST_FRAME, RATE_HZ, SORTED_FRAMES

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.signal.exports.source import ExportSource, read_source


def test_the_units_that_curation_kept_are_exported(fetched: Path, source: ExportSource) -> None:
    history = json.loads((fetched / "curate" / "curation.json").read_text())
    assert {unit.quality.unit_id for unit in source.units} == set(history["curated_final"])
    assert 0 < len(source.units) < len(history["initial"])


def test_the_rejected_ones_are_exported_marked_when_asked_for(everything: ExportSource) -> None:
    told = {unit.fetched.passed: unit.fetched.failed_on for unit in everything.units}
    assert told == {True: "", False: "snr_min"}


def test_spikes_are_original_frames_beside_sorted_samples(source: ExportSource) -> None:
    for unit in source.units:
        assert np.array_equal(unit.frames, unit.samples + FIRST_FRAME)
        assert np.all(np.diff(unit.frames) >= 0)


def test_units_come_by_falling_amplitude(source: ExportSource) -> None:
    heights = [unit.quality.amplitude_uv for unit in source.units]
    assert heights == sorted(heights, reverse=True)


def test_what_was_sorted_is_told_in_original_seconds(source: ExportSource) -> None:
    start_s = FIRST_FRAME / RATE_HZ
    assert source.observed_s() == [(start_s, start_s + SORTED_FRAMES / RATE_HZ)]


def test_a_run_that_ended_before_it_had_units_says_how_it_ended(tmp_path: Path) -> None:
    record = {"run": {"run_id": "run-1"}, "status": "unsortable"}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "recording_report.json").write_text(json.dumps(record))
    with pytest.raises(InputMissingError, match="ended as unsortable"):
        read_source(tmp_path)
