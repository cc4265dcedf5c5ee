"""What every number of a unit means: the one table of metrics.

The columns of ``units.csv``, docs/metrics.md and the report's explanations are all taken from it.
It measures nothing and needs no library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spikefleet.signal.units.library_metric_rows import LIBRARY_ROWS

_HILL = "Hill et al. 2011"
_LLOBET = "Llobet et al. 2022"
NONE = "none"

# Name, unit, what it is, where it was described, what SpikeInterface has of the kind.
_OWN_ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    ("spike_count", "spikes", "spikes of the unit", "", "`num_spikes`, the same"),
    (
        "firing_rate_hz", "1/s", "spikes over the time that was sorted", "",
        "`firing_rate`, the same",
    ),
    (
        "amplitude_uv", "µV",
        "height of the mean waveform on its largest channel, at the peak; the peak is a trough "
        "unless the highest point is at least `pos_peak_thresh` times the lowest", "",
        "`get_template_extremum_amplitude`, without that rule",
    ),
    (
        "snr", "",
        "`amplitude_uv` over the noise of that channel (median absolute deviation over 0.6745, of "
        "random pieces); 0 on a channel without noise", "",
        "`snr`, here `si_snr`: the same but for the rule of the peak",
    ),
    (
        "isi_percent", "",
        "`isi_violation_count` over `spike_count`: a fraction, as its threshold `isi_viol_max` is; "
        "0 below two spikes", "", NONE,
    ),
    (
        "isi_hill", "",
        "violations over (2 · spikes · (refractory − censored period)), over the rate: what "
        "foreign spikes fire, in terms of the unit's own rate; 0 below two spikes", _HILL,
        "`isi_violations_ratio`, the same",
    ),
    (
        "isi_violation_count", "intervals",
        "intervals below the refractory period (strictly) between successive spikes", _HILL,
        "`isi_violations_count`, the same",
    ),
    (
        "std_norm", "",
        "standard deviation of the waveforms at the peak over `amplitude_uv`; with `std_at_peak` "
        "off, its mean over the window of the spread", "", NONE,
    ),
    (
        "snr_aligned", "",
        "`snr` of waveforms that were shifted to their own peaks first, which sharpens their mean "
        "and, at an SNR below about 5, aligns on noise; the peak is a trough unless the highest "
        "point is at least twice the lowest", "", NONE,
    ),
    (
        "std_norm_aligned", "", "`std_norm` of the shifted waveforms, at the peak of their mean",
        "", NONE,
    ),
    (
        "presence_ratio", "",
        "share of bins with a spike; bins of a minute, or a tenth of a recording below ten "
        "minutes", "", "`presence_ratio`, here `si_presence_ratio`: its bins do not shrink",
    ),
    (
        "contamination", "",
        "share of spikes that are of other neurons, as pairs below the refractory period tell it, "
        "other neurons being independent; 1 where no share explains so many", _LLOBET,
        "`rp_contamination`, which counts a pair of exactly the period too",
    ),
    (
        "contamination_low", "",
        "`contamination` at the lower end of the 95 % interval of the count of pairs (Poisson, "
        "exact)",
        "Garwood 1936", NONE,
    ),
    ("contamination_high", "", "`contamination` at the upper end", "Garwood 1936", NONE),
    (
        "similar_unit", "",
        "the unit within 200 µm whose template is most alike; empty where none is", "", NONE,
    ),
    (
        "similarity", "",
        "cosine of both templates over all channels, at the best lag of at most 10 samples", "",
        "`template_similarity` (cosine), at lag 0 by default",
    ),
    (
        "shared_spikes", "",
        "share of the smaller unit's spikes that the other has within 0.4 ms", "",
        "the agreement of a comparison, over one unit",
    ),
    (
        "refractory_dip", "",
        "pairs of the two between 0.4 ms and the refractory period apart, over what two "
        "independent neurons would have: near 1 for two neurons, near 0 for one", "", NONE,
    ),
    (
        "possible_duplicate", "",
        "the two are probably one neuron: `similarity` of at least 0.8, and `shared_spikes` of at "
        "least 0.2 or `refractory_dip` of at most 0.3; where fewer than five close pairs are to be "
        "expected, none at all and a `similarity` of 0.95", "",
        "none; `compute_merge_unit_groups` proposes pairs",
    ),
    ("channel_id", "", "largest channel", "", "the main channel, without the rule of the peak"),
    (
        "x_um", "µm",
        "centre of mass of the template, across; the largest channel's place where it has none", "",
        "`unit_locations` (`center_of_mass`)",
    ),
    (
        "y_um", "µm",
        "centre of mass of the template, along; the largest channel's place where it has none", "",
        "`unit_locations` (`center_of_mass`)",
    ),
    ("has_positive_peak", "", "the largest peak points up", "", NONE),
)  # fmt: skip


@dataclass(frozen=True)
class MetricDefinition:
    """One metric. Words are plain text but for names of metrics and settings in backticks."""

    name: str  #: the column of ``units.csv``
    unit: str  #: "" for a ratio or a name
    words: str  #: what it is
    source: str  #: who described it; "" where it needs nobody
    in_spikeinterface: str  #: what SpikeInterface calls it, and how that differs


def metric_definitions() -> Mapping[str, MetricDefinition]:
    """Return the definition of every metric by its name, in the order of the columns."""
    return _DEFINITIONS


_DEFINITIONS: Mapping[str, MetricDefinition] = MappingProxyType(
    {row[0]: MetricDefinition(*row) for row in (*_OWN_ROWS, *LIBRARY_ROWS)}
)
