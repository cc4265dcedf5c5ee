"""How samples become int16 codes and codes become microvolts again: decided once per recording.

Integer sources of 16 bits keep their own least significant bit; others are coded at
``DEFAULT_LSB_UV``, or coarser where their range needs it. Values past int16 are clipped, never
wrapped; values that are no numbers are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.recording.windows import spread_frames
from spikefleet.signal.filtering.band_pass import Implementation
from spikefleet.signal.filtering.numba_kernels import encode_int16

DEFAULT_LSB_UV = 0.195
_INT16 = (-32768, 32767)
_LOOK_WINDOWS, _LOOK_SAMPLES, _LOOK_VALUES = 20, 2000, 3_000_000
# One artefact must not cost everything else its resolution: range is judged without the last 0.1 %.
_RANGE_QUANTILE, _RANGE_HEADROOM = 0.999, 4.0
_ROWS_AT_ONCE = 256  # stays in the cache


@dataclass(frozen=True)
class Coding:
    """Per channel: ``code = sample * factor + shift``, and back by gain and offset to µV."""

    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    gain_to_uv: NDArray[np.float64]
    offset_to_uv: NDArray[np.float64]

    def encode(
        self, samples: NDArray[np.float32], implementation: Implementation
    ) -> NDArray[np.int16]:
        """Return the codes of samples x channels, rounded to the nearest and clipped.

        Raises:
            InputCorruptError: a sample is not a number.
        """
        codes = np.empty(samples.shape, dtype=np.int16)
        if implementation == "compiled" and samples.dtype == np.float32:
            rows = np.ascontiguousarray(samples)  # the one layout that is compiled for
            is_finite = bool(encode_int16(rows, self.factor, self.shift, codes))
        else:
            is_finite = True
            for first in range(0, len(samples), _ROWS_AT_ONCE):
                some = slice(first, first + _ROWS_AT_ONCE)
                exact = samples[some] * self.factor
                exact += self.shift
                if not np.isfinite(exact).all():
                    is_finite = False
                    break
                np.rint(exact, out=exact)
                codes[some] = np.clip(exact, *_INT16, out=exact)
        if not is_finite:
            raise InputCorruptError(
                "The recording holds samples that are not numbers. Export it again from the "
                "original.",
                reason="non_finite",
            )
        return codes


def choose_coding(recording: BaseRecording, *, filtered: bool) -> Coding:
    """Look at a bounded sample of a recording and choose its coding.

    ``filtered`` says whether a band-pass comes between: it takes offsets away.
    """
    n_channels = recording.get_num_channels()
    gains = np.asarray(recording.get_channel_gains(), dtype=np.float64)
    offsets = np.asarray(recording.get_channel_offsets(), dtype=np.float64)
    dtype = np.dtype(recording.get_dtype())
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        # A filter takes the mid-code away; without one it is moved into the offset.
        zero = np.zeros(n_channels)
        if dtype.kind == "u" and not filtered:
            zero = _middle(_look(recording))
        offsets = np.zeros(n_channels) if filtered else offsets + zero * gains
        return Coding(np.ones(n_channels), -zero, gains, offsets)
    sample = _look(recording)
    uv = (sample - _middle(sample)) * gains if filtered else sample * gains + offsets
    heights_uv = np.abs(uv[np.isfinite(uv)])
    largest_uv = float(np.quantile(heights_uv, _RANGE_QUANTILE)) if heights_uv.size else 0.0
    lsb_uv = max(DEFAULT_LSB_UV, largest_uv * _RANGE_HEADROOM / _INT16[1])
    shift = np.zeros(n_channels) if filtered else offsets / lsb_uv
    return Coding(gains / lsb_uv, shift, np.full(n_channels, lsb_uv), np.zeros(n_channels))


def _look(recording: BaseRecording) -> NDArray[np.float64]:
    """Return samples x channels from all over the recording, of bounded size."""
    most = max(1, _LOOK_VALUES // (_LOOK_WINDOWS * recording.get_num_channels()))
    window = min(_LOOK_SAMPLES, most)
    spread = spread_frames(recording.get_num_samples(), window, _LOOK_WINDOWS)[:_LOOK_WINDOWS]
    windows = [recording.get_traces(start_frame=start, end_frame=end) for start, end in spread]
    return np.concatenate(windows).astype(np.float64)


def _middle(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle code of each channel."""
    middle: NDArray[np.float64] = np.rint(np.median(sample, axis=0))
    return middle
