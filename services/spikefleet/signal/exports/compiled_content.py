"""What a run's settings put into its compiled files: window, unit of waveforms, sampled waveforms.

A setting that the kept results cannot fulfil changes nothing else: ``notes`` says it in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.exports.source import ANALYZER, ExportedUnit, ExportSource
from spikefleet.signal.units.analyzer_folder import open_analyzer, reading
from spikefleet.signal.units.unit_data import FloatArray, IntArray
from spikefleet.signal.units.unit_names import unit_names


@dataclass(frozen=True)
class CountCoding:
    """From µV to the counts of what was sorted, for each channel; ``dtype`` is theirs."""

    gain_uv: FloatArray
    offset_uv: FloatArray
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class SampledWaveforms:
    """S sampled spikes of a unit: frames (S,), waveforms (S, samples, K) on K channels (K,)."""

    frames: IntArray
    waveforms: NDArray[Any]
    channels: IntArray


@dataclass(frozen=True)
class CompiledContent:
    """``window`` are the samples of a template that are written, ``counts`` None for µV."""

    source: ExportSource
    window: slice
    counts: CountCoding | None
    analyzer: Any  #: where sampled waveforms are taken from; None: they are not written
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: ExportSource) -> CompiledContent:
        """Read the settings of the run.

        Raises InputCorruptError where the analyzer is not what a sort leaves.
        """
        window, notes = _window(source)
        counts = analyzer = None
        scaled, wanted = source.waveform.scale_compiled_waveforms, source.compilation
        if not scaled or wanted.compile_waveforms:
            folder = source.results.folder / ANALYZER
            analyzer = open_analyzer(folder)
            if not scaled:
                with reading(folder):
                    counts = _counts(analyzer, len(source.data.channel_ids))
                if counts is None:
                    notes.append("µV, not counts: the sort did not keep the gain of its channels")
        if wanted.compile_waveforms and analyzer is not None:
            notes.extend(_missing(source, analyzer))
        if not wanted.compile_waveforms or not _has_waveforms(analyzer):
            analyzer = None
        return cls(source, window, counts, analyzer, tuple(notes))

    @property
    def unit(self) -> str:
        """What templates and waveforms are in."""
        return "µV" if self.counts is None else "counts"

    def template(self, values_uv: FloatArray) -> FloatArray:
        """Return the written samples of a template, (T, C), in ``unit``."""
        cut = values_uv[self.window]
        if self.counts is None:
            return cut
        return (cut - self.counts.offset_uv) / self.counts.gain_uv

    def sampled(self, unit: ExportedUnit) -> SampledWaveforms | None:
        """Return the sampled waveforms of a unit; None where the sort or the settings have none.

        Raises InputCorruptError where those of the analyzer do not fit its spikes.
        """
        names = () if self.analyzer is None else unit_names(self.analyzer.unit_ids)
        if unit.quality.unit_id not in names:
            return None
        index, data = names.index(unit.quality.unit_id), self.source.data
        with reading(self.source.results.folder / ANALYZER):
            extension = self.analyzer.get_extension("waveforms")
            waveforms, channels = (
                extension.get_waveforms_one_unit(self.analyzer.unit_ids[index], force_dense=False),
                np.arange(len(data.channel_ids)),
            )
            if self.analyzer.is_sparse():
                channels = np.flatnonzero(self.analyzer.sparsity.mask[index])
            spikes = self.analyzer.get_extension("random_spikes").get_random_spikes()
            samples = spikes["sample_index"][spikes["unit_index"] == index].astype(np.int64)
            samples -= self.source.first_sample
            n_samples = round(data.duration_s * data.sampling_rate_hz)
            inside = (samples >= 0) & (samples < n_samples)
            values = self._in_unit(np.asarray(waveforms[inside][:, self.window]), channels)
        samples = samples[inside]
        frames = data.timeline.to_original(samples) if data.timeline else samples
        return SampledWaveforms(frames, values, channels)

    def _in_unit(self, values_uv: NDArray[Any], channels: IntArray) -> NDArray[Any]:
        if self.counts is None:
            return values_uv
        own = self.counts
        values = (values_uv - own.offset_uv[channels]) / own.gain_uv[channels]
        if not np.issubdtype(own.dtype, np.integer):
            return values.astype(own.dtype)
        limits = np.iinfo(own.dtype)
        return np.clip(np.rint(values), limits.min, limits.max).astype(own.dtype)


def _window(source: ExportSource) -> tuple[slice, list[str]]:
    """Samples of a template around the spike, and what of the settings is beyond what was kept."""
    data, asked = source.data, source.waveform
    kept = (data.peak_index, data.templates_uv.shape[1] - data.peak_index)
    times_ms = (asked.compiled_ms_before, asked.compiled_ms_after)
    wanted = [round(time_ms * data.sampling_rate_hz / 1000.0) for time_ms in times_ms]
    notes = [
        f"compiled_ms_{side}: {has / data.sampling_rate_hz * 1000.0:g} ms were kept, "
        f"{time_ms:g} asked for"
        for side, has, want, time_ms in zip(
            ("before", "after"), kept, wanted, times_ms, strict=True
        )
        if want > has + 1  # a sorter's own rounding is no other window
    ]
    before, after = (min(want, has) for want, has in zip(wanted, kept, strict=True))
    return slice(data.peak_index - before, data.peak_index + after), notes


def _counts(analyzer: Any, n_channels: int) -> CountCoding | None:
    """The gain that the analyzer kept; None where there is none, or its numbers are no µV."""
    about = analyzer.rec_attributes
    known = about.get("properties") or {}
    gain, offset = (
        np.asarray(known.get(name, ()), dtype=np.float64) for name in ("gain_to_uV", "offset_to_uV")
    )
    fitting = gain.shape == offset.shape == (n_channels,)
    if not (analyzer.return_in_uV and fitting and about.get("dtype")):
        return None
    if not (np.isfinite(gain).all() and np.isfinite(offset).all() and gain.all()):
        return None
    dtype = np.dtype(str(about["dtype"]))
    return CountCoding(gain, offset, dtype) if dtype.kind in "iuf" else None


def _has_waveforms(analyzer: Any) -> bool:
    return analyzer is not None and all(
        analyzer.has_extension(name) for name in ("waveforms", "random_spikes")
    )


def _missing(source: ExportSource, analyzer: Any) -> Iterator[str]:
    """Say which units have no sampled waveforms, and why."""
    if not _has_waveforms(analyzer):
        yield "no waveforms: the sort kept none (waveform.save_waveform_files was off)"
        return
    names = set(unit_names(analyzer.unit_ids))
    made = [unit.quality.unit_id for unit in source.units if unit.quality.unit_id not in names]
    if made:
        yield f"no waveforms of units that curation merged or split: {', '.join(made)}"
