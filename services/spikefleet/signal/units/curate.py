"""Curation: which units pass the configured thresholds, and the history that shows why not.

Two stages run one after the other and are both recorded. Inside them every criterion looks only at
the survivors of the one before. A threshold of None skips its criterion. A metric that could not
be measured fails the criterion that asks for it: an unmeasured unit is not a good unit. A metric of
waveforms that no unit has is not a verdict on the units: that is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spikefleet.core.config.units import CurationConfig
from spikefleet.core.failures.errors import EmptyWaveformMetricsError
from spikefleet.signal.units.quality import UnitQuality

_ISI_FIELDS = {"percent": "isi_percent", "hill": "isi_hill"}
_OF_WAVEFORMS = frozenset({"snr", "std_norm"})
HISTORY_VERSION = 1


@dataclass(frozen=True)
class Criterion:
    """One threshold on one metric. ``at_least`` says on which side units pass."""

    name: str
    stage: str
    metric: str
    bound: float
    at_least: bool

    def accepts(self, value: float) -> bool:
        """True when a measured value passes; NaN never does."""
        if math.isnan(value):
            return False
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class CurationHistory:
    """What curation did. ``to_json`` is the file ``curation.json``.

    ``curated`` and ``failed`` hold unit ids per criterion in order of evaluation; ``metrics`` only
    has the units that reached a criterion.
    """

    parameters: Mapping[str, Any]
    initial: tuple[str, ...]
    criteria: tuple[Criterion, ...] = ()
    curated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    final: tuple[str, ...] = ()

    def failed_on(self) -> dict[str, str]:
        """Map each rejected unit to the criterion that rejected it."""
        return {unit: name for name, units in self.failed.items() for unit in units}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; unmeasured values are None."""
        return {
            "version": HISTORY_VERSION,
            "curation_parameters": dict(self.parameters),
            "initial": list(self.initial),
            "curations": [c.name for c in self.criteria],
            "criteria": [asdict(c) for c in self.criteria],
            "curated": {name: list(units) for name, units in self.curated.items()},
            "failed": {name: list(units) for name, units in self.failed.items()},
            "metrics": {
                name: {unit: v if math.isfinite(v) else None for unit, v in values.items()}
                for name, values in self.metrics.items()
            },
            "stages": {
                stage: [c.name for c in self.criteria if c.stage == stage]
                for stage in ("first", "second")
            },
            "curated_final": list(self.final),
        }


def list_criteria(thresholds: CurationConfig) -> tuple[Criterion, ...]:
    """Return the criteria that apply, in order: spikes, rate, ISI, SNR, then the second stage.

    Bounds are inclusive; None skips a criterion.
    """
    isi = _ISI_FIELDS[thresholds.isi_violation_method]
    first = (
        ("spikes_min_first", "first", "spike_count", thresholds.spikes_min_first, True),
        ("fr_min", "first", "firing_rate_hz", thresholds.fr_min, True),
        ("isi_viol_max", "first", isi, thresholds.isi_viol_max, False),
        ("snr_min", "first", "snr", thresholds.snr_min, True),
    )
    second = (
        ("spikes_min_second", "second", "spike_count", thresholds.spikes_min_second, True),
        ("std_norm_max", "second", "std_norm", thresholds.std_norm_max, False),
    )
    rows = (first if thresholds.curate_first else ()) + (second if thresholds.curate_second else ())
    return tuple(
        Criterion(name, stage, metric, float(bound), at_least)
        for name, stage, metric, bound, at_least in rows
        if bound is not None
    )


def curate_units(units: Sequence[UnitQuality], thresholds: CurationConfig) -> CurationHistory:
    """Apply every criterion to the survivors of the one before and record what happened.

    ``units`` were measured on the whole, or on the epoch that the verdict is taken from. Raises
    EmptyWaveformMetricsError when a criterion asks for a metric that no unit with spikes has,
    because the sort left no waveforms or templates.
    """
    criteria = list_criteria(thresholds)
    _require_waveforms(units, criteria)
    survivors = list(units)
    curated: dict[str, tuple[str, ...]] = {}
    failed: dict[str, tuple[str, ...]] = {}
    metrics: dict[str, dict[str, float]] = {}
    for criterion in criteria:
        values = {u.unit_id: float(getattr(u, criterion.metric)) for u in survivors}
        metrics[criterion.name] = values
        failed[criterion.name] = tuple(
            u for u, value in values.items() if not criterion.accepts(value)
        )
        survivors = [u for u in survivors if criterion.accepts(values[u.unit_id])]
        curated[criterion.name] = tuple(u.unit_id for u in survivors)
    return CurationHistory(
        parameters=thresholds.model_dump(mode="json"),
        initial=tuple(u.unit_id for u in units),
        criteria=criteria,
        curated=curated,
        failed=failed,
        metrics=metrics,
        final=tuple(u.unit_id for u in survivors),
    )


def _require_waveforms(units: Sequence[UnitQuality], criteria: Sequence[Criterion]) -> None:
    measurable = [unit for unit in units if unit.spike_count]
    for criterion in criteria:
        if not measurable or criterion.metric not in _OF_WAVEFORMS:
            continue
        if all(math.isnan(getattr(unit, criterion.metric)) for unit in measurable):
            raise EmptyWaveformMetricsError(
                f"None of the {len(units)} sorted units has waveforms to measure "
                f"{criterion.metric} from, which {criterion.name} asks for. Sort the run again, or "
                f"curate without it (curation.{criterion.name}=null).",
                metric_name=criterion.metric,
                n_units=len(units),
                n_spikes=sum(unit.spike_count for unit in units),
            )
