"""Which part of a recording is sorted, and how its samples become microvolts."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from spikefleet.core.config.group import (
    ConfigGroup,
    Count,
    NonNegative,
    PerChannel,
    Positive,
    conflict,
)

DETECTED = "detected"
"""Among the names of channels: those that are found to be bad."""
_MOST_NAMES = 10_000


def _names(value: Any) -> Any:
    """Accept one name, several with commas between, and numbers; write each once, in order."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or len(listed) > _MOST_NAMES:
        return value
    whole = (
        int(name) if isinstance(name, float) and name.is_integer() else name for name in listed
    )
    named = [name if isinstance(name, dict | list) else str(name).strip() for name in whole]
    return tuple(sorted(set(named))) if all(isinstance(name, str) for name in named) else value


ChannelNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(_names),
    Field(max_length=_MOST_NAMES),
]
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
        description="Folder of the vendor's HDF5 decompression plugin, or several as in PATH; "
        "null: the installed one. Applies to this run only.",
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

    common_reference: Literal["none", "median", "average"] = Field(
        default="none",
        description="Subtract from every sample the median or average over all channels, after "
        "the band-pass; none: leave it to the sorter. A field of this service: a configuration "
        "that does not set it is written without it.",
    )

    bad_channels: ChannelNames = Field(
        default=(),
        description="Channels to leave out of the sort, by id; detected (alone or among them): "
        "those that never change, sit at a rail or hold no numbers. A field of this service: a "
        "configuration that does not set it is written without it.",
    )

    @model_serializer(mode="wrap")
    def _as_labs_know_it(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the fields of our own that are not set: the others are those labs know."""
        document: dict[str, Any] = write(self)
        if self.common_reference == "none":
            document.pop("common_reference", None)
        if not self.bad_channels:
            document.pop("bad_channels", None)
        return document

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
        self._in_order()
        return self

    def _in_order(self) -> None:
        """Refuse windows that overlap, go back, or are past ``first_n_mins``."""
        start, end = self.start_time_s, self.end_time_s
        wanted = [("rec_chunks_s", first, last) for first, last in self.rec_chunks_s]
        if start is not None or end is not None:
            field = "end_time_s" if start is None else "start_time_s"
            wanted.insert(0, (field, start or 0.0, float("inf") if end is None else end))
        last_s = float("inf") if self.first_n_mins is None else 60.0 * self.first_n_mins
        for field, first, _ in wanted:
            if first >= last_s:
                raise conflict(
                    f"recording.{field}",
                    f"{field}: the window from {first:g} s is past first_n_mins ({last_s:g} s)",
                )
        frames = [("rec_chunks", float(first), float(last)) for first, last in self.rec_chunks]
        for before, after in pairwise(wanted or frames):
            if after[1] < before[2]:
                raise conflict(
                    f"recording.{after[0]}",
                    f"{after[0]}: the window from {after[1]:g} overlaps or comes before the one "
                    f"from {before[1]:g} to {before[2]:g}; give windows in order and apart",
                )

    @model_validator(mode="after")
    def _scale(self) -> RecordingConfig:
        gains = self.gain_to_uv
        listed = gains if isinstance(gains, tuple) else (gains,)
        if 0.0 in listed:
            raise conflict(
                "recording.gain_to_uv",
                "gain_to_uv: a gain of 0 would erase its channel; give the µV of one count",
            )
        for name, values in (("gain_to_uv", gains), ("offset_to_uv", self.offset_to_uv)):
            if values == ():
                raise conflict(f"recording.{name}", f"{name}: give at least one value, or null")
        height_um = self.mea_y_max
        if height_um is not None and height_um < 0 and height_um != -1:
            raise conflict(
                "recording.mea_y_max",
                "mea_y_max: give a height in µm, or -1 for each probe's own",
            )
        return self
