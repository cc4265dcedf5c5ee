"""How units are measured and which of them are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from spikefleet.core.config.group import (
    ConfigGroup,
    Count,
    NonNegative,
    Positive,
    PositiveCount,
    conflict,
)

Fraction = Annotated[float, Field(ge=0, le=1)]
# Longer than any action potential by far; a larger value was meant in another unit.
WindowMs = Annotated[float, Field(gt=0, le=100)]


class WaveformConfig(ConfigGroup):
    """Windows and sampling of waveforms. All windows are milliseconds around the spike."""

    ms_before: WindowMs = Field(default=2.0, description="Waveform before the spike (ms).")
    ms_after: WindowMs = Field(default=2.0, description="Waveform after the spike (ms).")
    pos_peak_thresh: Positive = Field(
        default=2.0,
        description="A unit counts as positive when its peak is at least this many times its "
        "trough (ratio).",
    )
    max_waveforms_per_unit: PositiveCount | None = Field(
        default=300, description="Spikes sampled per unit at random (count); null: all of them."
    )
    compiled_ms_before: Positive = Field(
        default=2.0, description="Exported template before the peak (ms); clipped to ms_before."
    )
    compiled_ms_after: Positive = Field(
        default=2.0, description="Exported template after the peak (ms); clipped to ms_after."
    )
    scale_compiled_waveforms: bool = Field(
        default=True, description="Compile waveforms in µV; false: in the counts that were sorted."
    )
    std_at_peak: bool = Field(
        default=True,
        description="Take the spread of a unit at its peak; false: over the window below.",
    )
    std_over_window_ms_before: NonNegative = Field(
        default=0.5, description="Window of the spread before the peak (ms)."
    )
    std_over_window_ms_after: NonNegative = Field(
        default=1.5, description="Window of the spread after the peak (ms)."
    )
    save_waveform_files: bool = Field(
        default=True,
        description="Keep the sampled waveforms; false: templates and metrics only.",
    )
    principal_components: bool = Field(
        default=False,
        description="Keep principal components of the sampled waveforms, for what is measured of "
        "clusters. A field of this service: a configuration that does not set it is written "
        "without it.",
    )
    save_recording: bool = Field(
        default=False,
        description="Keep what the sorter was given (filtered, 2 bytes a sample) with the sort, "
        "for tools that show traces. A field of this service, as principal_components is.",
    )
    save_sorter_output: bool = Field(
        default=False,
        description="Keep the sorter's own folder (of Kilosort 4 a folder for Phy) with the sort, "
        "as it left it. A field of this service, as principal_components is.",
    )

    @model_serializer(mode="wrap")
    def _as_labs_know_it(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the fields of our own that are not set."""
        document: dict[str, Any] = write(self)
        for name in ("principal_components", "save_recording", "save_sorter_output"):
            if not getattr(self, name):
                document.pop(name, None)
        return document


# A neuron's refractory period; a larger value was meant in another unit.
RefractoryMs = Annotated[float, Field(gt=0, le=20)]
# Fields of this service: a configuration that leaves them alone is written without them.
_OWN = frozenset({"refractory_period_ms", "censored_period_ms", "labels", "merge", "merge_method"})


class CurationConfig(ConfigGroup):
    """Thresholds a unit must meet. Null switches one off."""

    curate_first: bool = Field(
        default=True,
        description="Apply the first stage: rate, ISI violations, SNR, spikes_min_first.",
    )
    curate_second: bool = Field(
        default=True, description="Apply the second stage: spikes_min_second, std_norm_max."
    )
    curation_epoch: Count | None = Field(
        default=None,
        description="Measure the criteria on this epoch only (index from 0) and apply the verdict "
        "to the whole recording; null: measure on everything.",
    )
    refractory_period_ms: RefractoryMs = Field(
        default=1.5,
        description="Spikes of one neuron are never nearer to each other (ms): what ISI "
        "violations, contamination and the marks of duplicates are counted by.",
    )
    censored_period_ms: NonNegative = Field(
        default=0.0,
        description="Spikes nearer to each other than this were never found, or were removed by "
        "the sorter (ms): isi_hill and contamination expect none there.",
    )
    fr_min: NonNegative | None = Field(default=0.05, description="Lowest mean firing rate (Hz).")
    isi_viol_max: NonNegative | None = Field(
        default=0.01,
        description="Largest share of ISI violations, in the terms of isi_violation_method "
        "(fraction, not per cent).",
    )
    isi_violation_method: Literal["percent", "hill"] = Field(
        default="percent",
        description="percent: violations per spike (fraction); hill: estimated rate of foreign "
        "spikes relative to the unit's own (ratio).",
    )
    snr_min: NonNegative | None = Field(
        default=5.0,
        description="Lowest signal-to-noise ratio: template amplitude over noise (ratio).",
    )
    spikes_min_first: Count | None = Field(
        default=30, description="Fewest spikes to pass the first stage (count)."
    )
    spikes_min_second: Count | None = Field(
        default=50, description="Fewest spikes to pass the second stage (count)."
    )
    std_norm_max: Positive | None = Field(
        default=1.0, description="Largest spread of the waveform relative to its amplitude (ratio)."
    )

    labels: Literal["facility", "strict", "organoid", "bombcell", "none"] = Field(
        default="facility",
        description="Table by which units are called good, mua or noise; a label rejects none.",
    )

    merge: Literal["none", "suggest", "apply"] = Field(
        default="suggest",
        description="What to do about units that are probably one neuron: nothing, say so, or join "
        "them before the thresholds are applied.",
    )
    merge_method: Literal[
        "duplicates",
        "similarity_correlograms",
        "temporal_splits",
        "x_contaminations",
        "feature_neighbors",
        "slay",
    ] = Field(
        default="duplicates",
        description="How they are found: duplicates is this service's rule, the others are "
        "SpikeInterface's presets.",
    )

    @model_serializer(mode="wrap")
    def _as_labs_know_it(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the fields of our own that are at their defaults."""
        document: dict[str, Any] = write(self)
        fields = type(self).model_fields
        own = {name for name in _OWN if getattr(self, name) == fields[name].default}
        return {name: value for name, value in document.items() if name not in own}

    @model_validator(mode="after")
    def _periods(self) -> CurationConfig:
        if self.censored_period_ms >= self.refractory_period_ms:
            raise conflict(
                "curation.censored_period_ms",
                f"censored_period_ms ({self.censored_period_ms:g}) must be shorter than "
                f"refractory_period_ms ({self.refractory_period_ms:g})",
            )
        return self

    @model_validator(mode="after")
    def _share_of_violations(self) -> CurationConfig:
        share = self.isi_viol_max
        if self.isi_violation_method == "percent" and share is not None and share > 1:
            raise conflict(
                "curation.isi_viol_max",
                f"isi_viol_max ({share:g}) is a share of a unit's spikes with "
                f"isi_violation_method 'percent': {share / 100:g} is {share:g} %",
            )
        return self
