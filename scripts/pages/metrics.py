"""docs/metrics.md, rendered from the table of metrics.

A test holds the committed page equal.
"""

from __future__ import annotations

from spikefleet.signal.units.metric_definitions import MetricDefinition, metric_definitions

_HEAD = """# Metrics of units

What each number in `curate/units.csv`, in the report's table and in exports means, and how it
differs from SpikeInterface's of that name. Everything is measured on what was sorted. What cannot
be measured is empty, never zero; where no unit has a metric that the sort keeps, `not_measured` of
`curation.json` says why.

The *refractory period* is the setting `curation.refractory_period_ms` (1.5 ms unless set), the
*censored period* is `curation.censored_period_ms` (none unless set): another value is another
curation of the same sort. `curation.json` names the refractory period that was used. An interval or
a pair that spans a cut between windows or recordings counts nowhere.

Metrics marked *kept in the analyzer* are SpikeInterface's own, measured once when the sort was made
([0018](decisions/0018-library-metrics-are-measured-once.md)). They take a joined recording as one.
A sort from before that has none of them: they are empty until the recording is sorted again. The
analyzer's extensions `quality_metrics` and `template_metrics` hold the same numbers for other
programs.

This page is rendered from `signal/units/metric_definitions.py`; do not edit it by hand.

| column | unit | definition | source | in SpikeInterface |
| --- | --- | --- | --- | --- |
"""

_TAIL = """
`possible_duplicate` rejects nothing: it is shown in the report, on both units, with the correlogram
of the two.

## Per epoch

Where several recordings were sorted as one, each is an epoch, counted from 0. `epochs.csv` and
`units_by_epoch` of `curation.json` have a row per unit and epoch: spikes, rate, violations and
presence of the epoch's own spikes over what was sorted of it, and `amplitude_median` (µV) of their
amplitudes. Its waveforms were not kept apart: `amplitude_uv` and `snr` are those of the whole times
the epoch's `amplitude_median` over that of all spikes; `std_norm` likewise by the amplitudes'
standard deviation over their mean. An epoch without spikes of a unit has none of the three.

With `curation.curation_epoch` the thresholds are applied to the numbers of that epoch, and the
verdict is the unit's in all of them; `metrics` of `curation.json` has the numbers that were judged.
"""


def render_metrics() -> str:
    """Return docs/metrics.md."""
    return _HEAD + "".join(map(_row, metric_definitions().values())) + _TAIL


def _row(row: MetricDefinition) -> str:
    cells = (f"`{row.name}`", row.unit, row.words, row.source, row.in_spikeinterface)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
