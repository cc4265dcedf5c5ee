"""Which part of a recording is sorted, and how its samples become microvolts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from spikefleet.core.config.group import (
    ConfigGroup,
    Count,
    NonNegative,
    PerChannel,
    Positive,
    conflict,
)

ChunkFrames = tuple[Count, Count]
ChunkSeconds = tuple[NonNegative, NonNegative]


class RecordingConfig(ConfigGroup):
    """Stream, time windows, scaling and band. Times are seconds from the recording's start."""

    stream_id: str | None = Field(
        default=None,
        description="Stream (probe or well) to sort; null: every stream becomes a run of its own.",
    )
    hdf5_plugin_path: str | None = Field(
        default=None,
        description="Folder of the vendor's HDF5 decompression plugin; null: the installed one. "
        "Applies to this run only.",
    )
    first_n_mins: Positive | None = Field(
        default=None,
        description="Keep only this many minutes (min) from the start; longer than the recording: "
        "all of it.",
    )
    mea_y_max: Annotated[float, Field(ge=-1)] | None = Field(
        default=None,
        description="Flip the y axis of the electrode map: y becomes this value (µm) minus y; "
        "-1: each probe's own largest y; null: no flip.",
    )
    gain_to_uv: PerChannel = Field(
        default=None,
        description="Gain (µV per count), one value or one per channel; null: the recording's own.",
    )
    offset_to_uv: PerChannel = Field(
        default=None,
        description="Offset (µV), one value or one per channel; null: the recording's own.",
    )
    rec_chunks: tuple[ChunkFrames, ...] = Field(
        default=(),
        description="Windows [start, end) to keep (frames). Not together with windows in seconds.",
    )
    rec_chunks_s: tuple[ChunkSeconds, ...] = Field(
        default=(),
        description="Windows [start, end) to keep (s); an end past the recording is clipped.",
    )
    start_time_s: NonNegative | None = Field(
        default=None, description="Start of a single window (s); null: the recording's start."
    )
    end_time_s: Positive | None = Field(
        default=None, description="End of a single window (s); null: the recording's end."
    )
    freq_min: Positive | None = Field(
        default=300.0,
        description="Lower edge of the band-pass (Hz); null together with freq_max: no band-pass.",
    )
    freq_max: Positive | None = Field(
        default=6000.0,
        description="Upper edge of the band-pass (Hz); null together with freq_min: no band-pass.",
    )

    @model_validator(mode="after")
    def _band(self) -> RecordingConfig:
        low, high = self.freq_min, self.freq_max
        if (low is None) != (high is None):
            raise conflict(
                "recording.freq_min",
                "freq_min and freq_max: give both, or set both to null for no band-pass",
            )
        if low is not None and high is not None and low >= high:
            raise conflict(
                "recording.freq_min",
                f"freq_min ({low:g} Hz) must be below freq_max ({high:g} Hz)",
            )
        return self

    @model_validator(mode="after")
    def _windows(self) -> RecordingConfig:
        start, end = self.start_time_s, self.end_time_s
        if end is not None and (start or 0.0) >= end:
            raise conflict(
                "recording.start_time_s",
                f"start_time_s ({start or 0.0:g} s) must be before end_time_s ({end:g} s)",
            )
        if self.rec_chunks and (self.rec_chunks_s or start is not None or end is not None):
            raise conflict(
                "recording.rec_chunks",
                "rec_chunks: give windows in frames or in seconds "
                "(rec_chunks_s, start_time_s, end_time_s), not both",
            )
        for name, chunks in (("rec_chunks", self.rec_chunks), ("rec_chunks_s", self.rec_chunks_s)):
            for first, last in chunks:
                if first >= last:
                    raise conflict(
                        f"recording.{name}",
                        f"{name}: a window must start before it ends, not {first:g} to {last:g}",
                    )
        return self
