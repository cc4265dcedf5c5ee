"""The analyzer of a sort: everything curation and the report need, kept without the raw recording.

It is built once, beside the prepared data, and then travels alone: thresholds can be changed and a
run curated again from it in seconds. It decides no quality; it only measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from spikeinterface.core import NumpySorting, create_sorting_analyzer
from spikeinterface.postprocessing import compute_correlograms

from spikefleet.core.config.units import WaveformConfig

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting, SortingAnalyzer

DENSE_CHANNELS = 64
SPARSE_RADIUS_UM = 150.0
_CORRELOGRAMS = {"window_ms": 100.0, "bin_ms": 1.0, "method": "numpy"}


def build_analyzer(
    recording: BaseRecording,
    sorting: BaseSorting,
    folder: Path,
    waveform: WaveformConfig,
    seed: int,
    n_jobs: int = 1,
) -> SortingAnalyzer:
    """Measure every unit of ``sorting`` on ``recording`` and keep the result in ``folder``.

    In µV: waveforms of sampled spikes, mean and standard deviation templates, noise levels, an
    amplitude for every spike; in µm: unit locations; correlograms in ms. All channels are kept up
    to 64; above that, the channels within 150 µm of a unit. The same seed gives the same analyzer.
    Spikes nearer to an end of the recording than a waveform's window are not sampled, because their
    waveforms would be zeros beyond it (``UnitData.edge_spike_count`` tells how many). A sorting
    without units gives an analyzer that holds noise levels only. The sampled waveforms themselves
    are dropped at the end when the configuration does not want them kept.
    """
    jobs = {"n_jobs": n_jobs, "pool_engine": "thread", "progress_bar": True}
    has_units = len(sorting.unit_ids) > 0
    sparse = has_units and recording.get_num_channels() > DENSE_CHANNELS
    sparsity = {"method": "radius", "radius_um": SPARSE_RADIUS_UM, "seed": seed}
    analyzer = create_sorting_analyzer(
        sorting,
        recording,
        format="binary_folder",
        folder=folder,
        sparse=sparse,
        return_in_uV=recording.has_scaleable_traces(),
        seed=seed,
        sparsity_kwargs=sparsity if sparse else None,
        job_kwargs=jobs,
    )
    # Correlograms and locations by the methods that compile nothing: a cold compiler costs more
    # here than the measuring.
    analyzer.compute("noise_levels", random_slices_kwargs={"seed": seed})
    if has_units:
        analyzer.compute(
            {
                "random_spikes": _sampling(recording, sorting, waveform, seed),
                "waveforms": {"ms_before": waveform.ms_before, "ms_after": waveform.ms_after},
                "templates": {"operators": ["average", "std"]},
                "unit_locations": {"method": "center_of_mass"},
                "spike_amplitudes": {},
                "correlograms": _CORRELOGRAMS,
            },
            **jobs,
        )
        if not waveform.save_waveform_files:
            analyzer.delete_extension("waveforms")
    return analyzer


def leave_out_pairs_across(analyzer: SortingAnalyzer, seams: Sequence[int]) -> None:
    """Count the correlograms again without pairs that span a seam, and keep them.

    ``seams`` are samples before which time jumps: between windows, or between recordings that were
    sorted as one. What lies between two of them is a segment to the library, which counts each by
    itself.
    """
    extension = analyzer.get_extension("correlograms")
    if extension is None or not len(seams):
        return
    spikes = analyzer.sorting.to_spike_vector()
    samples, units = spikes["sample_index"], spikes["unit_index"]
    stretch = np.searchsorted(np.asarray(seams), samples, side="right")
    parts = [stretch == index for index in range(len(seams) + 1)]
    unit_ids = np.asarray(analyzer.unit_ids)
    cut = NumpySorting.from_samples_and_labels(
        [samples[part] for part in parts],
        [unit_ids[units[part]] for part in parts],
        analyzer.sampling_frequency,
        unit_ids=unit_ids,
    )
    extension.data["ccgs"], _ = compute_correlograms(cut, **_CORRELOGRAMS)
    extension.save()


def _margin(waveform: WaveformConfig, rate_hz: float) -> int:
    """The longer side of a waveform's window, in samples."""
    return math.ceil(max(waveform.ms_before, waveform.ms_after) * rate_hz / 1000)


def _sampling(
    recording: BaseRecording, sorting: BaseSorting, waveform: WaveformConfig, seed: int
) -> dict[str, Any]:
    """All spikes is the random choice of as many as there are: it leaves out those at the edges."""
    most = waveform.max_waveforms_per_unit
    return {
        "method": "uniform",
        "max_spikes_per_unit": sorting.count_total_num_spikes() if most is None else most,
        "margin_size": _margin(waveform, float(recording.get_sampling_frequency())),
        "seed": seed,
    }
