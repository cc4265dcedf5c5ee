"""The limits of RT-Sort by the names its authors gave them: three tables, and a user's changes.

``mea`` and ``neuropixels`` are what a probe starts from. ``mea_published`` are the authors' own
limits for arrays; on simulated dense arrays they join neighbouring neurons (docs/sorters), so
``mea`` takes the published thresholds with the tighter limits of Neuropixels for merging and
assignment. Latency limits are frames of the recording, as published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from spikefleet.core.failures.errors import InvalidConfigurationError


@dataclass(frozen=True)
class RtSortLimits:
    """Every number that decides what is an event, a sequence and a spike."""

    #: Detection probability of a spike on a root electrode, and of one that is seen elsewhere.
    stringent_thresh: float = 0.275
    loose_thresh: float = 0.1  #: of one that is seen elsewhere
    #: Noise (IQR, µV) that the model was trained on; None: traces are not scaled to it.
    inference_scaling_numerator: float | None = 12.6
    #: How far an action potential travels before and after it is seen on its root (ms).
    ms_before: float = 0.5
    ms_after: float = 0.5  #: and after it (ms)
    pre_median_ms: float = 50.0  #: length over which noise is measured (ms)
    inner_radius: float = 50.0  #: electrodes that share a spike of one neuron (µm)
    outer_radius: float = 100.0  #: electrodes that may see the same spike larger (µm)
    #: Electrodes that see something at once before it is noise of the array: max(n, f·electrodes).
    min_elecs_for_array_noise_n: int = 100
    min_elecs_for_array_noise_f: float = 0.1  #: f of it
    #: The same for a whole sequence.
    min_elecs_for_seq_noise_n: int = 300
    min_elecs_for_seq_noise_f: float = 0.05  #: f of it
    #: A root electrode is searched from so many events a second with so many neighbours.
    min_activity_root_cocs: int = 2
    min_activity_hz: float = 0.05  #: so many a second
    max_n_components_latency: int = 4  #: most groups that one electrode's latencies split into
    min_coc_n: int = 10  #: fewest events of a group
    min_coc_p: float = 10.0  #: the same in percent of what is split
    min_extend_comp_p: float = 50.0  #: percent of events that must follow to the next electrodes
    elec_patience: int = 6  #: distances without a split before a branch ends
    split_coc_clusters_amps: bool = True  #: whether groups split by amplitude, too
    min_amp_dist_p: float = 0.1  #: dip test: p below which amplitudes are of several neurons
    max_n_components_amp: int = 4  #: most groups that amplitudes split into
    min_loose_elec_prob: float = 0.03  #: probability that counts as nothing
    min_inner_loose_detections: int = 3  #: electrodes near the root that must see a spike
    min_loose_detections_n: int = 4  #: electrodes of the sequence that must
    min_loose_detections_r_spikes: float = 1 / 3  #: the same as a share of the sequence's
    min_loose_detections_r_sequences: float = 1 / 3  #: shared electrodes of two merged sequences
    max_latency_diff_spikes: float = 2.5  #: spike against sequence (frames)
    max_latency_diff_sequences: float = 2.5  #: sequence against sequence (frames)
    clip_latency_diff_factor: float = 2.0  #: one electrode counts at most so many limits
    max_amp_median_diff_spikes: float = 0.45  #: spike against sequence, share of the amplitude
    max_amp_median_diff_sequences: float = 0.45  #: sequence against sequence
    clip_amp_median_diff_factor: float = 2.0  #: one electrode, the same
    max_root_amp_median_std_spikes: float = 2.5  #: on the root, in standard deviations
    max_root_amp_median_std_sequences: float = 2.5  #: sequence against sequence
    #: Two sequences differ at most so much from electrode to electrode after the best common scale
    #: (root mean square, σ of noise); None: any. Not among the authors' limits, which are shares of
    #: the amplitude and at large amplitudes join neurons that differ by many σ.
    max_footprint_diff_sequences: float = 2.0
    repeated_detection_overlap_time: float = 0.2  #: two spikes so near are one (ms)
    min_seq_spikes_n: int = 10  #: fewest spikes of a sequence
    min_seq_spikes_hz: float = 0.05  #: the same per second
    relocate_root_min_amp: float = 0.8  #: share of the root's amplitude that may be a root
    relocate_root_max_latency: float = -2.0  #: frames that it must be earlier

    def to_json(self) -> dict[str, Any]:
        """All limits by name; infinity is None."""
        return {
            name: None if isinstance(value, float) and math.isinf(value) else value
            for name, value in asdict(self).items()
        }


_TIGHT = RtSortLimits()
TABLES: Mapping[str, RtSortLimits] = MappingProxyType(
    {
        "mea": _TIGHT,
        "mea_published": replace(
            _TIGHT,
            max_latency_diff_spikes=3.5,
            max_latency_diff_sequences=3.5,
            max_amp_median_diff_spikes=0.65,
            max_amp_median_diff_sequences=0.65,
            max_root_amp_median_std_sequences=math.inf,
            max_footprint_diff_sequences=math.inf,
        ),
        "neuropixels": replace(
            _TIGHT,
            stringent_thresh=0.175,
            loose_thresh=0.075,
            inference_scaling_numerator=15.4,
        ),
    }
)
# None means "no limit" or "off" for these alone.
_NONE_IS = {
    "inference_scaling_numerator": None,
    "max_root_amp_median_std_sequences": math.inf,
    "max_root_amp_median_std_spikes": math.inf,
    "max_footprint_diff_sequences": math.inf,
}
_PROBABILITIES = ("stringent_thresh", "loose_thresh", "min_loose_elec_prob")
_MAY_BE_NEGATIVE = ("relocate_root_max_latency",)
_MAY_BE_ZERO = (
    "min_activity_root_cocs",
    "min_activity_hz",
    "min_amp_dist_p",
    "min_seq_spikes_hz",
    "min_seq_spikes_n",
    "repeated_detection_overlap_time",
    "min_elecs_for_array_noise_f",
    "min_elecs_for_seq_noise_f",
)


def limits_of(table: str, changes: Mapping[str, Any] | None = None) -> RtSortLimits:
    """Return a table's limits with a user's changes.

    Raises InvalidConfigurationError for a name or a value that is none.
    """
    known = {item.name: getattr(_TIGHT, item.name) for item in fields(RtSortLimits)}
    checked = {}
    for name, value in (changes or {}).items():
        if name not in known:
            raise _refusal(name, value, "RT-Sort has no such limit")
        checked[name] = _checked(name, value, known[name])
    limits = replace(TABLES[table], **checked)
    order = [limits.min_loose_elec_prob, limits.loose_thresh, limits.stringent_thresh]
    if order != sorted(order):
        raise _refusal(
            "loose_thresh",
            limits.loose_thresh,
            "min_loose_elec_prob ≤ loose_thresh ≤ stringent_thresh must hold",
        )
    if limits.inner_radius > limits.outer_radius:
        raise _refusal("inner_radius", limits.inner_radius, "it is larger than outer_radius")
    return limits


def _checked(name: str, value: Any, like: Any) -> Any:
    if value is None and name in _NONE_IS:
        return _NONE_IS[name]
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        raise _refusal(name, value, "it must be true or false")
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise _refusal(name, value, "it must be a number")
    if isinstance(like, int):
        if value != int(value) or not 0 <= value <= 1_000_000:
            raise _refusal(name, value, "it must be a whole number from 0")
        return int(value)
    if math.isinf(value) and _NONE_IS.get(name) is None:
        raise _refusal(name, value, "it must be finite")
    if name in _PROBABILITIES and not 0 < value < 1:
        raise _refusal(name, value, "it must be a probability between 0 and 1")
    low = value < 0 if name in _MAY_BE_ZERO else value <= 0
    if low and name not in _MAY_BE_NEGATIVE:
        raise _refusal(name, value, "it must be above zero")
    return float(value)


def _refusal(name: str, value: Any, why: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"rt_sort.params: {name}={value!r} cannot be used: {why}.",
        field=f"rt_sort.params.{name}",
        value=repr(value)[:200],
    )
