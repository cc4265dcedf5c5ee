"""Rows of the table of metrics whose definition is SpikeInterface's; see ``metric_definitions``.

The numbers are the library's own but for three families that are counted here again, with equal
results: its way would compile machine code in every sort.
"""

from __future__ import annotations

_LLOBET = "Llobet et al. 2022"
_ALLEN = "Allen Institute, ecephys_spike_sorting"
_IBL = "International Brain Laboratory 2022"
_HARRIS = "Schmitzer-Torbert et al. 2005"
_SIEGLE = "Siegle et al. 2021"
_JIA = "Jia et al. 2019"
_SAME = "the same"
_KEPT = "the same; kept in the analyzer"
_PC = f"{_KEPT}; needs principal components"

# Name, unit, what it is, where it was described, what SpikeInterface calls it.
LIBRARY_ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "rp_violations", "pairs",
        "pairs of spikes at most the refractory period apart; three spikes within it are three "
        "pairs", _LLOBET, "the same but across a cut, and for its default of 1 ms",
    ),
    (
        "rp_contamination", "", "`contamination` of just these pairs", _LLOBET,
        "the same but across a cut, and for its default of 1 ms",
    ),
    (
        "sliding_rp_violation", "",
        "lowest contamination (0.5 to 35 %) that is ruled out with 90 % confidence at some "
        "refractory period between 0.5 and 10 ms; empty where none is", _IBL,
        "the same but across a cut",
    ),
    (
        "sync_spike_2", "", "share of spikes in one sample with another spike", "Grün 1996", _SAME,
    ),
    ("sync_spike_4", "", "share of spikes in a sample with three others", "Grün 1996", _SAME),
    ("sync_spike_8", "", "share of spikes in a sample with seven others", "Grün 1996", _SAME),
    (
        "si_snr", "", "`snr` on the channel where the template is largest, up or down", "",
        "`snr`, the same; kept in the analyzer",
    ),
    (
        "si_presence_ratio", "", "share of whole minutes with a spike; empty below one minute", "",
        "`presence_ratio`, the same; kept in the analyzer",
    ),
    (
        "firing_range", "1/s",
        "5th to 95th percentile of the rate in bins of 5 s; empty below 5 s", "Musall, Buccino",
        _KEPT,
    ),
    ("amplitude_median", "µV", "median of the spikes' amplitudes, with their sign", _IBL, _KEPT),
    (
        "amplitude_cutoff", "",
        "share of spikes missed below the detection threshold, as the histogram of amplitudes "
        "tells it, up to 0.5; empty below 500 spikes", "Hill et al. 2011; " + _ALLEN, _KEPT,
    ),
    (
        "amplitude_cv_median", "",
        "median, over bins of about 50 spikes, of the amplitudes' standard deviation over their "
        "mean; empty below ten bins", "Musall, Buccino", _KEPT,
    ),
    (
        "amplitude_cv_range", "", "5th to 95th percentile of the same", "Musall, Buccino", _KEPT,
    ),
    (
        "noise_cutoff", "standard deviations",
        "count in the lowest bins of the amplitudes (tenth), against the highest (quarter)", _IBL,
        _KEPT,
    ),
    ("noise_ratio", "", "count in the lowest bins over that of the fullest bin", _IBL, _KEPT),
    (
        "drift_ptp", "µm",
        "largest less smallest median place (y) of the spikes in a minute, of minutes with 100 "
        "spikes; empty below two minutes or where half of them have fewer", _SIEGLE, _KEPT,
    ),
    ("drift_std", "µm", "standard deviation of these places", _SIEGLE, _KEPT),
    ("drift_mad", "µm", "median absolute deviation of these places", _SIEGLE, _KEPT),
    (
        "sd_ratio", "",
        "standard deviation of the amplitudes (of their steps, so that drift counts little), of "
        "spikes 4 ms from the one before, over that of the channel without the unit", "Wyngaard",
        _KEPT,
    ),
    (
        "isolation_distance", "",
        "squared Mahalanobis distance within which there are as many foreign spikes as own ones",
        _HARRIS, _PC,
    ),
    (
        "l_ratio", "", "sum, over foreign spikes, of the chance to be so far away, over own spikes",
        _HARRIS, _PC,
    ),
    (
        "d_prime", "",
        "distance of own and foreign spikes along the line that parts them best, in standard "
        "deviations", "Hill et al. 2011", _PC,
    ),
    (
        "nn_hit_rate", "", "share of own spikes among the nearest neighbours of own spikes",
        _SIEGLE, _PC,
    ),
    (
        "nn_miss_rate", "", "share of own spikes among the nearest neighbours of foreign ones",
        _SIEGLE, _PC,
    ),
    (
        "silhouette", "", "distance to the nearest unit less spread, over the larger; −1 to 1",
        "Rousseeuw 1987; Hruschka et al. 2004", _PC,
    ),
    (
        "peak_to_trough_duration", "s", "from the trough to the peak after it", _JIA,
        f"{_KEPT}; earlier `peak_to_valley`",
    ),
    ("trough_half_width", "s", "width of the trough at half its depth", _JIA, _KEPT),
    ("peak_half_width", "s", "width of the peak at half its height", _JIA, _KEPT),
    (
        "repolarization_slope", "µV/s", "slope of the line from the trough back to 0", _JIA, _KEPT,
    ),
    (
        "recovery_slope", "µV/s", "slope of the line over 0.7 ms from the peak after the trough",
        _JIA, _KEPT,
    ),
    ("num_positive_peaks", "peaks", "peaks of at least 0.3 of the largest height", "", _KEPT),
    ("num_negative_peaks", "troughs", "troughs of at least 0.3 of the largest height", "", _KEPT),
    (
        "main_to_next_extremum_duration", "s", "from the largest point to the next one", "", _KEPT,
    ),
    (
        "peak_before_to_trough_ratio", "", "height of the peak before the trough over its depth",
        "Bombcell (Fabre et al. 2023)", _KEPT,
    ),
    (
        "peak_after_to_trough_ratio", "", "height of the peak after the trough over its depth",
        "Bombcell (Fabre et al. 2023)", _KEPT,
    ),
    (
        "peak_before_to_peak_after_ratio", "", "height of the peak before over that after",
        "Bombcell (Fabre et al. 2023)", _KEPT,
    ),
    (
        "main_peak_to_trough_ratio", "", "height of the higher peak over the depth of the trough",
        "Bombcell (Fabre et al. 2023)", f"{_KEPT}; earlier `peak_trough_ratio`",
    ),
    ("trough_width", "s", "width of the trough at half its prominence", "", _KEPT),
    ("peak_before_width", "s", "width of the peak before it at half its prominence", "", _KEPT),
    ("peak_after_width", "s", "width of the peak after it at half its prominence", "", _KEPT),
    (
        "waveform_baseline_flatness", "",
        "largest deviation in the first 0.5 ms of the template over the largest of all",
        "Bombcell (Fabre et al. 2023)", _KEPT,
    ),
    (
        "velocity_above", "µm/ms",
        "speed of the trough along the probe, above the largest channel (robust line)", _JIA, _KEPT,
    ),
    ("velocity_below", "µm/ms", "the same below it", _JIA, _KEPT),
    (
        "exp_decay", "1/µm", "rate at which the height falls with distance (exponential fit)", "",
        _KEPT,
    ),
    (
        "spread", "µm", "stretch of channels along the probe with at least 0.2 of the height", _JIA,
        _KEPT,
    ),
)  # fmt: skip
