"""What SpikeInterface measures is kept in the analyzer and read back, equal to the digit."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spikeinterface.core as si
from spikeinterface.metrics import compute_quality_metrics, compute_template_metrics
from spikeinterface.metrics.quality import misc_metrics
from tests.support.sorted_runs import write_sort

from spikefleet.core.config.units import CurationConfig
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.library_measuring import measure_in_library
from spikefleet.signal.units.library_metric_rows import LIBRARY_ROWS
from spikefleet.signal.units.library_metrics import QUALITY, TEMPLATE, LibraryMetrics
from spikefleet.signal.units.library_timing import measure_timing
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.relations import contamination
from spikefleet.signal.units.unit_data import UnitData, read_units

RATE_HZ, DURATION_S = 10_000.0, 130.0
EXTENSIONS = {
    "noise_levels": {"random_slices_kwargs": {"seed": 1}},
    "random_spikes": {"max_spikes_per_unit": 100, "seed": 1},
    "waveforms": {"ms_before": 2.0, "ms_after": 2.0},
    "templates": {"operators": ["average", "std"]},
    "spike_amplitudes": {},
    "spike_locations": {"method": "center_of_mass"},
    "principal_components": {"n_components": 3},
}
OURS = {"si_snr": "snr", "si_presence_ratio": "presence_ratio"}
COUNTED_HERE = {
    "rp_violations", "rp_contamination", "sliding_rp_violation",
    "sync_spike_2", "sync_spike_4", "sync_spike_8",
}  # fmt: skip


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> si.SortingAnalyzer:
    """An analyzer with everything: four units on twelve channels."""
    folder = tmp_path_factory.mktemp("sort") / "analyzer"
    recording, sorting = si.generate_ground_truth_recording(
        durations=[DURATION_S],
        sampling_frequency=RATE_HZ,
        num_channels=12,
        num_units=4,
        generate_sorting_kwargs={"firing_rates": 8.0, "refractory_period_ms": 3.0},
        seed=3,
    )
    spikes = sorting.to_spike_vector().copy()
    spikes["sample_index"][100:140:2] = spikes["sample_index"][101:141:2]  # some share a sample
    mixed = si.NumpySorting(spikes, RATE_HZ, sorting.unit_ids)
    analyzer = si.create_sorting_analyzer(
        mixed, recording, format="binary_folder", folder=folder, sparse=False, seed=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analyzer.compute(EXTENSIONS)
        measure_in_library(analyzer, seed=1)
    for model in (folder / "extensions" / "principal_components").glob("*.pkl"):
        model.unlink()  # a fit, which nothing needs and nobody may read
    return analyzer


@pytest.fixture(scope="module")
def folder(analyzer: si.SortingAnalyzer) -> Path:
    return Path(analyzer.folder)


@pytest.fixture(scope="module")
def data(folder: Path) -> UnitData:
    return read_units(folder)


@pytest.fixture(scope="module")
def theirs(analyzer: si.SortingAnalyzer) -> pd.DataFrame:
    """The same by the library alone; what it would compile is run as the Python that it is.

    Of the analyzer with its recording: without one, the library chooses main channels again.
    """
    plain = {
        "HAVE_NUMBA": True,
        "_compute_nb_violations_numba": misc_metrics._compute_nb_violations_numba.py_func,
        "_compute_rp_violations_numba": misc_metrics._compute_rp_violations_numba.py_func,
        "_get_synchrony_counts": misc_metrics._get_synchrony_counts.py_func,
    }
    bare = analyzer.save_as(format="memory")
    for name in (QUALITY, TEMPLATE):
        bare.delete_extension(name)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in plain.items():
            patch.setattr(misc_metrics, name, value)
        params = {"rp_violation": {"refractory_period_ms": 1.5}}
        quality = compute_quality_metrics(bare, metric_params=params, seed=1)
        shape = compute_template_metrics(bare, include_multi_channel_metrics=True)
    return pd.concat([quality, shape], axis=1)


@pytest.mark.parametrize("name", [row[0] for row in LIBRARY_ROWS])
def test_a_metric_is_what_spikeinterface_calls_it(
    name: str, data: UnitData, theirs: pd.DataFrame
) -> None:
    expected = theirs[OURS.get(name, name)].to_numpy(dtype=float)
    assert np.isfinite(expected).any(), "the example must have the metric"
    if name in COUNTED_HERE:
        found = [getattr(u, name) for u in measure_timing(data, CurationConfig())]
    else:
        found = list(data.library.values[name])
    assert found == pytest.approx(list(expected), rel=1e-9, nan_ok=True)


def test_ours_is_what_the_table_says_of_the_librarys(data: UnitData, theirs: pd.DataFrame) -> None:
    same = {
        "spike_count": "num_spikes",
        "firing_rate_hz": "firing_rate",
        "isi_violation_count": "isi_violations_count",
        "isi_hill": "isi_violations_ratio",
        "snr": "snr",  # every trough is the largest point here
    }
    units = measure_units(data)
    for ours, name in same.items():
        found = [float(getattr(unit, ours)) for unit in units]
        assert found == pytest.approx(list(theirs[name]), rel=1e-6)
    shares = [
        contamination(pairs, spikes, data.duration_s, 0.0015)
        for pairs, spikes in zip(theirs["rp_violations"], theirs["num_spikes"], strict=True)
    ]
    assert shares == pytest.approx(list(theirs["rp_contamination"]))


def test_every_column_of_the_table_is_filled_or_says_why(data: UnitData, folder: Path) -> None:
    columns = {row[0] for row in LIBRARY_ROWS} - COUNTED_HERE
    assert set(data.library.of_unit(0)) == columns
    assert set(data.library.values) | set(data.library.not_measured) == columns
    assert not {p.suffix for p in folder.rglob("*") if p.is_file()} & {".pkl", ".pickle"}


def test_a_sort_of_before_has_none_and_says_so(tmp_path: Path) -> None:
    write_sort(tmp_path)
    library = read_units(tmp_path / "analyzer").library
    assert library.values == {}
    assert set(library.not_measured) == {row[0] for row in LIBRARY_ROWS} - COUNTED_HERE
    assert set(library.not_measured.values()) == {"not measured by this sort"}
    assert set(LibraryMetrics().of_unit(0).values()) == {None}


def make_analyzer(folder: Path) -> si.SortingAnalyzer:
    """Two units on four channels; spikes of the second are too near the start for a waveform."""
    traces = np.random.default_rng(1).normal(0, 5, (20_000, 4)).astype(np.float32)
    recording = si.NumpyRecording([traces], RATE_HZ)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * i] for i in range(4)]))
    sorting = si.NumpySorting.from_unit_dict(
        [{"a": np.arange(500, 19_000, 300), "b": np.array([3])}], RATE_HZ
    )
    analyzer = si.create_sorting_analyzer(
        sorting, recording, format="binary_folder", folder=folder, sparse=False
    )
    analyzer.compute(
        {
            "noise_levels": {},
            "random_spikes": {"margin_size": 40, "seed": 1},
            "waveforms": {"ms_before": 2.0, "ms_after": 2.0},
            "templates": {"operators": ["average", "std"]},
        }
    )
    return analyzer


@pytest.mark.filterwarnings("ignore")
def test_a_unit_without_a_waveform_costs_no_other_its_metrics_and_what_is_missing_is_named(
    tmp_path: Path,
) -> None:
    analyzer = make_analyzer(tmp_path / "analyzer")
    analyzer.get_extension("templates").data["average"][1] = np.nan
    measure_in_library(analyzer, seed=1)
    library = read_units(tmp_path / "analyzer").library
    assert library.of_unit(0)["trough_half_width"] is not None
    assert library.of_unit(1)["trough_half_width"] is None
    assert library.not_measured["drift_ptp"] == "needs spike_locations, which the sort did not keep"
    assert library.not_measured["spread"] == "means nothing on fewer than 10 channels"
    assert library.not_measured["si_presence_ratio"] == "no unit has what it needs"  # no minute
    assert isinstance(library.of_unit(0)["num_negative_peaks"], int)
    assert library.of_unit(0)["d_prime"] is None


def test_without_units_nothing_is_measured(tmp_path: Path) -> None:
    recording = si.NumpyRecording([np.zeros((100, 2), np.float32)], RATE_HZ)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 0.0], [0.0, 20.0]]))
    nothing = si.NumpySorting.from_unit_dict([{}], RATE_HZ)
    analyzer = si.create_sorting_analyzer(nothing, recording, sparse=False)
    measure_in_library(analyzer, seed=1)
    assert analyzer.get_loaded_extension_names() == []


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("metrics.csv", ",snr\n0,1.0\n"),  # of another number of units
        ("metrics.csv", ",snr\n0,a\n1,b\n2,c\n3,d\n"),  # words
        ("metrics.csv", "\x00\x01\x02"),
        ("metrics.csv", ",snr\n0\n1\n2\n3\n"),
        ("metrics.csv", ""),
        ("metrics.csv", '"' + "x" * 200_000 + "\n"),
        ("not_measured.json", "{"),
    ],
)
def test_a_table_of_metrics_that_is_none_is_refused(
    name: str, table: str, folder: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "analyzer"
    shutil.copytree(folder, copied)
    (copied / "extensions" / QUALITY / name).write_text(table)
    with pytest.raises(InputCorruptError):
        read_units(copied)
