"""Preparing a recording for a sorter: windows, band-pass and one int16 copy on scratch.

Microvolts are applied exactly once: the copy keeps integer codes with their gain, so whoever scales
it gets µV and whoever does not gets codes. Integer sources of 16 bits keep their own least
significant bit; others are coded at ``DEFAULT_LSB_UV``, or coarser where their range needs it.
Values past int16 are clipped, never wrapped. What already fits is not copied.
"""

from __future__ import annotations

import errno
import gc
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe, ProbeGroup
from spikeinterface import preprocessing
from spikeinterface.core import (
    BaseRecording,
    BaseRecordingSegment,
    BinaryFolderRecording,
    concatenate_recordings,
)

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import DiskExhaustionError, InvalidConfigurationError
from spikefleet.core.recordings.windows import keep_frames, spread_frames

DEFAULT_LSB_UV = 0.195
_INT16 = (-32768, 32767)
_LOOK_WINDOWS, _LOOK_SAMPLES = 20, 2000
# One artefact must not cost everything else its resolution: range is judged without the last 0.1 %.
_RANGE_QUANTILE, _RANGE_HEADROOM = 0.999, 4.0
_BLOCK_BYTES = 32 << 20
_NYQUIST_SHARE = 0.98

Progress = Callable[[float], None]


@dataclass(frozen=True)
class _Coding:
    """How samples become int16: ``code = sample * factor + shift``, and back by gain and offset."""

    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    gain_to_uv: NDArray[np.float64]
    offset_to_uv: NDArray[np.float64]


def prepare(
    recording: BaseRecording,
    config: RecordingConfig,
    folder: Path,
    *,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> BaseRecording:
    """Return the recording a sorter is given: one segment, int16, gain and offset to µV.

    ``folder`` is created (replaced when there) as a SpikeInterface binary folder, unless the
    recording is already int16 on disk in that form and nothing has to be done to its samples; then
    it is returned uncopied. Memory is bounded by ``n_jobs`` blocks. ``progress`` gets the fraction
    written; with several jobs only 1.0 at the end.

    Raises:
        InvalidConfigurationError: names the field that does not fit this recording.
        DiskExhaustionError: the copy does not fit on the disk.
    """
    recording = _with_scaling(recording, config)
    recording = _with_flipped_map(recording, config.mea_y_max)
    rate_hz = float(recording.sampling_frequency)
    n_samples = int(recording.get_num_samples())
    kept = keep_frames(config, n_samples, rate_hz)
    filtered = config.freq_min is not None or config.freq_max is not None
    if not filtered and kept == ((0, n_samples),) and _is_plain_int16(recording):
        return recording
    coding = _choose_coding(recording, filtered=filtered)
    prepared = _band_passed(_as_float(recording), config) if filtered else _as_float(recording)
    parts = [prepared.frame_slice(start_frame=start, end_frame=end) for start, end in kept]
    prepared = parts[0] if len(parts) == 1 else concatenate_recordings(parts)
    prepared = _coded(prepared, coding)
    copy = _write(prepared, folder, n_jobs, progress)
    if progress is not None:
        progress(1.0)
    return copy


def _with_scaling(recording: BaseRecording, config: RecordingConfig) -> BaseRecording:
    """Apply the configured gain and offset, on a view: the caller's recording stays as it was."""
    if config.gain_to_uv is None and config.offset_to_uv is None:
        return recording
    view = recording.select_channels(recording.channel_ids)
    for field, value, setter in (
        ("gain_to_uv", config.gain_to_uv, view.set_channel_gains),
        ("offset_to_uv", config.offset_to_uv, view.set_channel_offsets),
    ):
        if value is None:
            continue
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if values.size not in (1, view.get_num_channels()):
            raise InvalidConfigurationError(
                f"recording.{field} has {values.size} values for {view.get_num_channels()} "
                "channels; give one, or one per channel.",
                field=f"recording.{field}",
                value=values.size,
            )
        setter(np.broadcast_to(values, view.get_num_channels()).copy())
    return view


def _with_flipped_map(recording: BaseRecording, mea_y_max: float | None) -> BaseRecording:
    """Turn the electrode map upside down: y becomes ``mea_y_max`` (-1: the largest y) minus y."""
    if mea_y_max is None:
        return recording
    view = recording.select_channels(recording.channel_ids)
    flipped = ProbeGroup()
    for probe in view.get_probegroup().probes:
        document = probe.to_dict(array_as_list=False)
        positions_um = np.array(document["contact_positions"], dtype=np.float64)
        top_um = positions_um[:, 1].max() if mea_y_max == -1 else mea_y_max
        positions_um[:, 1] = top_um - positions_um[:, 1]
        document["contact_positions"] = positions_um
        document.pop("probe_planar_contour", None)
        flipped.add_probe(Probe.from_dict(document))
    view.set_probegroup(flipped)
    return view


def _is_plain_int16(recording: BaseRecording) -> bool:
    if recording.get_dtype() != np.dtype("int16") or not recording.is_binary_compatible():
        return False
    return bool(recording.get_binary_description()["time_axis"] == 0)


def _as_float(recording: BaseRecording) -> BaseRecording:
    if recording.get_dtype() == np.dtype("float32"):
        return recording
    return preprocessing.scale(recording, gain=1.0, offset=0.0, dtype="float32")


def _band_passed(recording: BaseRecording, config: RecordingConfig) -> BaseRecording:
    """Filter between freq_min and freq_max; up to the Nyquist frequency where freq_max is above."""
    nyquist_hz = float(recording.sampling_frequency) / 2
    low_hz, high_hz = config.freq_min, config.freq_max
    if low_hz is None or low_hz >= _NYQUIST_SHARE * nyquist_hz:
        raise InvalidConfigurationError(
            f"recording.freq_min must be below half the sampling rate ({nyquist_hz:g} Hz), and set "
            "when freq_max is.",
            field="recording.freq_min",
            value=low_hz,
        )
    if high_hz is None or high_hz >= _NYQUIST_SHARE * nyquist_hz:
        return preprocessing.highpass_filter(recording, freq_min=low_hz, dtype="float32")
    return preprocessing.bandpass_filter(
        recording, freq_min=low_hz, freq_max=high_hz, dtype="float32"
    )


def _choose_coding(recording: BaseRecording, *, filtered: bool) -> _Coding:
    n_channels = recording.get_num_channels()
    gains = np.asarray(recording.get_channel_gains(), dtype=np.float64)
    offsets = np.asarray(recording.get_channel_offsets(), dtype=np.float64)
    dtype = np.dtype(recording.get_dtype())
    middle, largest_uv = _look(recording, gains, offsets, filtered=filtered)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        # A filter takes the mid-code away; without one it is moved into the offset.
        zero = middle if dtype.kind == "u" and not filtered else np.zeros(n_channels)
        offsets = np.zeros(n_channels) if filtered else offsets + zero * gains
        return _Coding(np.ones(n_channels), -zero, gains, offsets)
    lsb_uv = max(DEFAULT_LSB_UV, largest_uv * _RANGE_HEADROOM / _INT16[1])
    shift = np.zeros(n_channels) if filtered else offsets / lsb_uv
    return _Coding(gains / lsb_uv, shift, np.full(n_channels, lsb_uv), np.zeros(n_channels))


def _look(
    recording: BaseRecording,
    gains: NDArray[np.float64],
    offsets: NDArray[np.float64],
    *,
    filtered: bool,
) -> tuple[NDArray[np.float64], float]:
    """Return (the middle code of each channel, the µV nearly all stay below) of a sample."""
    spread = spread_frames(recording.get_num_samples(), _LOOK_SAMPLES, _LOOK_WINDOWS)[
        :_LOOK_WINDOWS
    ]
    windows = [recording.get_traces(start_frame=start, end_frame=end) for start, end in spread]
    sample = np.concatenate(windows).astype(np.float64)
    middle = np.rint(np.median(sample, axis=0))
    uv = (sample - middle) * gains if filtered else sample * gains + offsets
    finite = np.abs(uv[np.isfinite(uv)])
    return middle, float(np.quantile(finite, _RANGE_QUANTILE)) if finite.size else 0.0


def _coded(recording: BaseRecording, coding: _Coding) -> BaseRecording:
    """Return int16 codes of a float recording; rounds to the nearest and clips at the rails."""
    codes = preprocessing.scale(
        recording,
        gain=coding.factor.astype(np.float32),
        offset=coding.shift.astype(np.float32),
        dtype="float32",
    )
    codes = preprocessing.clip(codes, a_min=float(_INT16[0]), a_max=float(_INT16[1]))
    codes = preprocessing.astype(codes, dtype="int16", round=True)
    codes.set_channel_gains(coding.gain_to_uv)
    codes.set_channel_offsets(coding.offset_to_uv)
    return codes


def _write(
    recording: BaseRecording, folder: Path, n_jobs: int, progress: Progress | None
) -> BaseRecording:
    partial = folder.with_name(f".{folder.name}.partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # SpikeInterface collects garbage after every block; over all that is imported by now this
    # costs several times the writing itself. What is frozen is not walked.
    gc.freeze()
    frame_bytes = 4 * recording.get_num_channels()
    if progress is not None and n_jobs == 1:
        watched = _WatchedSegment(
            recording.segments[0], float(recording.sampling_frequency), progress
        )
        recording.segments[0] = watched
    try:
        BinaryFolderRecording.write_recording(
            recording,
            partial,
            dtype="int16",
            n_jobs=n_jobs,
            chunk_size=max(1, _BLOCK_BYTES // frame_bytes),
            progress_bar=False,
        )
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        shutil.rmtree(partial, ignore_errors=True)
        free_gb = shutil.disk_usage(folder.parent).free / 1e9
        raise DiskExhaustionError(
            f"The disk of {folder.parent} filled up while the recording was prepared. "
            "Free space there or move the scratch folder.",
            folder=str(folder.parent),
            free_gb_at_trip=free_gb,
        ) from error
    partial.replace(folder)
    return BinaryFolderRecording(folder)


class _WatchedSegment(BaseRecordingSegment):  # type: ignore[misc]
    """A segment that says how far it has been read."""

    def __init__(self, parent: Any, sampling_rate_hz: float, progress: Progress) -> None:
        super().__init__(sampling_frequency=sampling_rate_hz)
        self._parent = parent
        self._progress = progress

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return int(self._parent.get_num_samples())

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        """Return samples x channels of the watched segment."""
        traces: NDArray[Any] = self._parent.get_traces(start_frame, end_frame, channel_indices)
        self._progress(end_frame / self.get_num_samples())
        return traces
