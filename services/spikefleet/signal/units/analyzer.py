"""The analyzer of a sort: everything curation and the report need, kept without the raw recording.

It is built once, beside the prepared data, and then travels alone: thresholds can be changed and a
run curated again from it in seconds. It decides no quality; it only measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikeinterface.core import create_sorting_analyzer

from spikefleet.core.config.units import WaveformConfig
from spikefleet.signal.units.main_channels import find_main_channels
from spikefleet.signal.units.noise import measure_noise
from spikefleet.signal.units.pair_counts import store_correlograms
from spikefleet.signal.units.recording_blocks import Scale
from spikefleet.signal.units.sampled_spikes import Sampling
from spikefleet.signal.units.similarity import store_similarity
from spikefleet.signal.units.spike_measures import store_spike_measures
from spikefleet.signal.units.spike_waveforms import store_waveforms
from spikefleet.signal.units.stored_extensions import storing

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting, SortingAnalyzer

DENSE_CHANNELS = 64
MOST_CORRELATED_UNITS = 400  # every pair takes 100 bins: more would not fit a sort's memory
SPARSE_RADIUS_UM = 150.0
Progress = Callable[[float], None]


def build_analyzer(
    recording: BaseRecording,
    sorting: BaseSorting,
    folder: Path,
    waveform: WaveformConfig,
    seed: int,
    progress: Progress = lambda fraction: None,
) -> SortingAnalyzer:
    """Measure every unit of ``sorting`` on ``recording`` and keep the result in ``folder``.

    In µV: waveforms of sampled spikes, mean and standard deviation templates, noise levels, an
    amplitude for every spike; in µm: unit locations, and a location for every spike; correlograms
    in ms; the similarity of templates. All channels are kept up to 64; above that, the channels
    within 150 µm of a unit. The same seed gives the same analyzer. Spikes nearer to an end of the
    recording than a waveform's window are not sampled, because their waveforms would be zeros
    beyond it (``UnitData.edge_spike_count`` tells how many). A sorting without units gives an
    analyzer that holds noise levels only, one of more than 400 units has no correlograms. The
    sampled waveforms are not kept where the configuration does not want them; principal components
    of them are where it does.

    Numbers are SpikeInterface's, within a float32. The recording is read in blocks, twice where
    sampled spikes lie; one that computes its samples when they are asked for (a filter) is better
    prepared first. ``progress`` gets the fraction of the spikes that are done.
    """
    sparsity = {"method": "radius", "radius_um": SPARSE_RADIUS_UM}
    has_units = len(sorting.unit_ids) > 0
    sparse = has_units and recording.get_num_channels() > DENSE_CHANNELS
    analyzer = create_sorting_analyzer(
        sorting,
        recording,
        format="binary_folder",
        folder=folder,
        main_channel_indices=find_main_channels(recording, sorting, seed),
        sparse=sparse,
        return_in_uV=recording.has_scaleable_traces(),
        seed=seed,
        sparsity_kwargs=sparsity if sparse else None,
    )
    scale = Scale.of(recording, analyzer.return_in_uV)
    with storing(analyzer, "noise_levels", random_slices_kwargs={"seed": seed}) as noise:
        noise.set("noise_levels", measure_noise(recording, scale, seed))
    if has_units:
        _store_sample(analyzer, waveform, seed)
        is_kept, with_components = waveform.save_waveform_files, waveform.principal_components
        store_waveforms(analyzer, waveform, is_kept or with_components)
        # By the method that compiles nothing: a cold compiler costs more here than the measuring.
        analyzer.compute("unit_locations", method="center_of_mass")
        store_spike_measures(analyzer, progress)
        if len(sorting.unit_ids) <= MOST_CORRELATED_UNITS:
            store_correlograms(analyzer)
        store_similarity(analyzer)
        if with_components:
            _store_components(analyzer)
        if with_components and not is_kept:
            analyzer.delete_extension("waveforms")
    return analyzer


def leave_out_pairs_across(analyzer: SortingAnalyzer, seams: Sequence[int]) -> None:
    """Count the correlograms again without pairs that span a seam, and keep them.

    ``seams`` are samples before which time jumps: between windows, or between recordings that were
    sorted as one.
    """
    if analyzer.has_extension("correlograms") and len(seams):
        store_correlograms(analyzer, seams)


def _margin(waveform: WaveformConfig, rate_hz: float) -> int:
    """The longer side of a waveform's window, in samples."""
    return math.ceil(max(waveform.ms_before, waveform.ms_after) * rate_hz / 1000)


def _store_sample(analyzer: SortingAnalyzer, waveform: WaveformConfig, seed: int) -> None:
    """All spikes is the random choice of as many as there are: it leaves out those at the edges."""
    spikes = analyzer.sorting.to_spike_vector()
    most = waveform.max_waveforms_per_unit or len(spikes)
    sampling = Sampling(most, _margin(waveform, float(analyzer.sampling_frequency)), seed)
    lengths = [analyzer.get_num_samples(index) for index in range(analyzer.get_num_segments())]
    params = {"max_spikes_per_unit": most, "margin_size": sampling.margin, "seed": seed}
    with storing(analyzer, "random_spikes", method="uniform", **params) as extension:
        chosen = sampling.choose(spikes, lengths, len(analyzer.unit_ids))
        extension.set("random_spikes_indices", chosen)


def _store_components(analyzer: SortingAnalyzer) -> None:
    """Keep the projections alone: the fitted models would be pickles, which nobody here reads."""
    extension = analyzer.compute("principal_components", save=False, progress_bar=False)
    extension.data = {"pca_projection": extension.get_data()}
    extension.save()
