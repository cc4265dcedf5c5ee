"""The exported analyzer, opened by SpikeInterface as a user opens it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spikeinterface.core as si
from spikeinterface.curation import apply_curation
from tests.support.fetched_run import (
    FIRST_FRAME,
    SETTINGS,
    SORTED_FRAMES,
    write_fetched_run,
)

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.curation.curate import curate_into
from spikefleet.signal.exports.analyzer import write_analyzer
from spikefleet.signal.exports.hand_curation import hand_curation
from spikefleet.signal.exports.source import ExportSource, read_source
from spikefleet.signal.units.by_hand import HandVerdict
from spikefleet.signal.units.unit_edits import Merge, Split, UnitEdits


@pytest.fixture(scope="module")
def folder(everything: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("analyzer") / "analyzer"
    write_analyzer(everything, place)
    return place


def gui_curation(folder: Path) -> dict:
    return json.loads((folder / "spikeinterface_gui" / "curation_data.json").read_text())


def test_each_unit_has_its_verdict_and_label(everything: ExportSource, folder: Path) -> None:
    analyzer = si.load_sorting_analyzer(folder)
    units = everything.results.units
    assert [str(unit) for unit in analyzer.unit_ids] == list(everything.data.unit_ids)
    properties = {name: analyzer.get_sorting_property(name) for name in ("passed", "failed_on")}
    properties |= {name: analyzer.get_sorting_property(name) for name in ("label", "curated_unit")}
    for row, unit in enumerate(map(str, analyzer.unit_ids)):
        assert properties["passed"][row] == units[unit].passed
        assert properties["failed_on"][row] == units[unit].failed_on
        assert properties["label"][row] == (units[unit].metrics.get("label") or "")
        assert properties["curated_unit"][row] == unit
    assert 0 < properties["passed"].sum() < len(units)


def test_spikes_and_what_was_measured_are_the_sorts(
    fetched: Path, everything: ExportSource, folder: Path
) -> None:
    analyzer = si.load_sorting_analyzer(folder)
    of_sort = si.load_sorting_analyzer(fetched / "sort" / "analyzer")
    for unit in analyzer.unit_ids:
        train = analyzer.sorting.get_unit_spike_train(unit)
        assert np.array_equal(train, of_sort.sorting.get_unit_spike_train(unit))
    assert set(analyzer.get_loaded_extension_names()) >= set(of_sort.get_loaded_extension_names())
    for name in ("templates", "waveforms", "spike_amplitudes"):
        told, expected = (each.get_extension(name).get_data() for each in (analyzer, of_sort))
        assert np.array_equal(told, expected)


def test_without_the_rejected_units_only_kept_ones_are_there(
    source: ExportSource, tmp_path: Path
) -> None:
    write_analyzer(source, tmp_path / "analyzer")
    analyzer = si.load_sorting_analyzer(tmp_path / "analyzer")
    assert set(map(str, analyzer.unit_ids)) == set(source.results.curated)
    assert analyzer.get_sorting_property("passed").all()
    assert gui_curation(tmp_path / "analyzer")["removed"] == []


def test_spikeinterface_applies_the_curation_beside_it(
    everything: ExportSource, folder: Path
) -> None:
    analyzer = si.load_sorting_analyzer(folder)
    curated = apply_curation(analyzer, gui_curation(folder))
    assert set(map(str, curated.unit_ids)) == set(everything.results.curated)
    told = curated.get_sorting_property("quality")
    labels = {str(unit): label for unit, label in zip(curated.unit_ids, told, strict=True)}
    curated_units = everything.results.curated.values()
    assert labels == {unit.unit_id: unit.metrics["label"] for unit in curated_units}


def test_units_that_a_sorter_numbers_have_names_and_metrics_of_the_library(
    tmp_path: Path,
) -> None:
    run = write_fetched_run(tmp_path / "run", snr_min=12.0, channels=72, numbered=True)
    of_sort = si.load_sorting_analyzer(run / "sort" / "analyzer")
    assert of_sort.unit_ids.dtype.kind == "i"
    assert of_sort.is_sparse()
    source = read_source(run)
    write_analyzer(source, tmp_path / "analyzer")
    analyzer = si.load_sorting_analyzer(tmp_path / "analyzer")
    assert set(analyzer.unit_ids) == set(source.results.curated)
    sparse = analyzer.sparsity.unit_id_to_channel_indices
    for name in ("quality_metrics", "template_metrics"):
        told, expected = (each.get_extension(name).get_data() for each in (analyzer, of_sort))
        assert len(told) == len(source.results.curated) < len(expected)
        for unit in analyzer.unit_ids:
            assert np.array_equal(
                sparse[unit], of_sort.sparsity.unit_id_to_channel_indices[int(unit)]
            )
            assert told.loc[unit].equals(expected.loc[int(unit)].rename(unit))
    curated = apply_curation(analyzer, gui_curation(tmp_path / "analyzer"))
    assert len(curated.unit_ids) == len(analyzer.unit_ids)


def test_the_kept_recording_is_found_wherever_the_run_was_moved_to(
    fetched: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(fetched, tmp_path / "run")
    samples = np.random.default_rng(1).integers(-99, 99, (SORTED_FRAMES, 8)).astype(np.int16)
    recording = si.NumpyRecording([samples], 20_000.0)
    recording.set_dummy_probe_from_locations(np.arange(16.0).reshape(8, 2))
    recording.save(folder=run / "sort" / "recording")
    (run / "sort" / "recording" / "provenance.json").unlink(missing_ok=True)
    (run / "exports").mkdir()
    write_analyzer(read_source(run), run / "exports" / "analyzer")
    moved = run.rename(tmp_path / "moved")
    analyzer = si.load_sorting_analyzer(moved / "exports" / "analyzer")
    assert analyzer.has_recording()
    shown = analyzer.recording.get_traces(start_frame=FIRST_FRAME, end_frame=FIRST_FRAME + 5)
    assert np.array_equal(shown, samples[FIRST_FRAME : FIRST_FRAME + 5])
    paths = list((moved / "exports" / "analyzer").rglob("*.json"))
    assert not [path for path in paths if str(tmp_path / "run") in path.read_text()]


def test_a_merged_unit_is_there_as_what_it_was_made_of(fetched: Path, tmp_path: Path) -> None:
    run = shutil.copytree(fetched, tmp_path / "run")
    edits = UnitEdits((Merge(("0", "1"), "0+1", (0, 0)),), (Split("2", ("2/1", "2/2"), ((0, 2),)),))
    hand = hand_curation(read_source(run, with_failed=True))
    units = dict.fromkeys(("0+1", "3", "4", "2/1"), HandVerdict(passed=True, label="good"))
    units["2/2"] = HandVerdict(passed=False, reason="removed by hand", label="mua")
    hand = replace(hand, edits=edits, verdicts=units)
    shutil.rmtree(run / "curate")
    (run / "curate").mkdir()
    timeline = json.loads((run / "sort" / "timeline.json").read_text())
    curate_into(run / "curate", run / "sort" / "analyzer", timeline, *SETTINGS, hand)
    write_analyzer(read_source(run), tmp_path / "analyzer")
    analyzer = si.load_sorting_analyzer(tmp_path / "analyzer")
    became = analyzer.get_sorting_property("curated_unit")
    assert list(became) == ["0+1", "0+1", "2/1 2/2", "3", "4"]
    assert list(analyzer.get_sorting_property("label")) == ["good", "good", "", "good", "good"]
    curated = apply_curation(analyzer.sorting, gui_curation(tmp_path / "analyzer"))
    counts = {str(unit): len(curated.get_unit_spike_train(unit)) for unit in curated.unit_ids}
    assert set(counts) == {"0+1", "2/1", "2/2", "3", "4"}
    assert counts["2/1"] == 2


def test_without_units_there_is_nothing_to_open(nothing: ExportSource, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no units to open"):
        write_analyzer(nothing, tmp_path / "analyzer")
    assert not (tmp_path / "analyzer").exists()
