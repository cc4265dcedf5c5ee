"""Each of several recordings that were sorted as one, as an export of its own.

Spikes are those of the recording, in frames from its own start. Metrics are those of the epoch;
what was not measured apart, as contamination, is empty. Templates are those of the sort, which kept
none apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spikefleet.core.submissions import safe_part
from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.units.epochs import RecordingEpoch, epochs_of, measure_epoch

_OF_THE_SORT = ("label", "label_why")  # what is said of a unit, not measured on its spikes


def recordings_of(source: ExportSource) -> dict[str, ExportSource]:
    """Return each recording by a name that a folder can have; {} where one was sorted.

    A recording of which nothing was sorted is left out.
    """
    epochs = epochs_of(source.data)
    if len(epochs) < 2:
        return {}
    return dict(_parts(source, epochs))


def _parts(
    source: ExportSource, epochs: tuple[RecordingEpoch, ...]
) -> Iterator[tuple[str, ExportSource]]:
    begin = 0
    for epoch in epochs:
        if epoch.data.timeline is not None:
            yield safe_part(epoch.name), _part(source, epoch, begin)
        begin += round(epoch.data.duration_s * epoch.data.sampling_rate_hz)


def _part(source: ExportSource, epoch: RecordingEpoch, begin: int) -> ExportSource:
    measured = measure_epoch(epoch, source.data, source.waveform, source.curation)
    frames, samples = epoch.data.original_trains(), epoch.data.trains()
    units = (
        replace(
            unit,
            quality=measured[unit.index],
            fetched=replace(
                unit.fetched,
                metrics={
                    name: unit.fetched.metrics[name]
                    for name in _OF_THE_SORT
                    if name in unit.fetched.metrics
                },
            ),
            frames=frames[unit.index],
            samples=samples[unit.index],
        )
        for unit in source.units
    )
    return replace(source, data=epoch.data, units=tuple(units), first_sample=begin)
