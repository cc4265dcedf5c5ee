"""The band-pass: SpikeInterface's Butterworth filter, there and back, in a fraction of the time.

Same order, margins and edges as ``spikeinterface.preprocessing``, so that results agree to 1e-3 µV.
Which of two implementations computes it is a matter of measurement: the compiled one is about seven
times faster and costs its compilation, so that short recordings stay with scipy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import iirfilter, sosfilt_zi, sosfiltfilt

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.filtering.numba_kernels import N_SECTIONS, filter_sections

Implementation = Literal["compiled", "scipy"]

ORDER = 5
MARGIN_PERIODS = 5
_NYQUIST_SHARE = 0.98
# Scipy takes 0.06 µs for a value, the compiled loop 0.009, and compiling it about 1 s of a core.
COMPILED_FROM_VALUES = 20_000_000
_SCIPY_CHANNELS_AT_ONCE = 64


def choose_implementation(n_values: int) -> Implementation:
    """Return what is cheaper for a recording of so many samples x channels, cold start included."""
    return "compiled" if n_values >= COMPILED_FROM_VALUES else "scipy"


@dataclass(frozen=True)
class BandPass:
    """A designed filter. ``margin`` frames are read and dropped on each side of a block.

    ``padding`` samples are mirrored through the first and last value before filtering, as scipy
    does, so that a block does not begin with a step from zero.
    """

    sos: NDArray[np.float64]
    margin: int
    padding: int

    def apply(self, samples: NDArray[Any], implementation: Implementation) -> NDArray[np.float32]:
        """Return samples x channels, filtered; the input, of any real dtype, is left alone."""
        if implementation == "scipy":
            return self._by_scipy(samples)
        n_samples, n_channels = samples.shape
        padding = min(self.padding, n_samples - 1)
        work = np.empty((n_samples + 2 * padding, n_channels), dtype=np.float32)
        middle = work[padding : padding + n_samples]
        middle[:] = samples
        if padding:
            work[:padding] = 2 * middle[0] - middle[padding:0:-1]
            work[-padding:] = 2 * middle[-1] - middle[-2 : -padding - 2 : -1]
        sos = np.tile(
            [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (N_SECTIONS, 1)
        )  # sections that change nothing
        sos[: len(self.sos)] = self.sos
        rest = np.zeros(2 * N_SECTIONS)
        rest[: 2 * len(self.sos)] = sosfilt_zi(self.sos).ravel()
        filter_sections(work, sos, rest[:, np.newaxis] * work[0], False)
        filter_sections(work, sos, rest[:, np.newaxis] * work[-1], True)
        return middle

    def _by_scipy(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        n_samples, n_channels = samples.shape
        filtered = np.empty((n_samples, n_channels), dtype=np.float32)
        for first in range(0, n_channels, _SCIPY_CHANNELS_AT_ONCE):
            some = slice(first, first + _SCIPY_CHANNELS_AT_ONCE)
            given = samples[:, some].astype(np.float32)
            padding = min(self.padding, n_samples - 1)
            filtered[:, some] = sosfiltfilt(self.sos, given, axis=0, padlen=padding)
        return filtered


def design_band_pass(config: RecordingConfig, sampling_rate_hz: float) -> BandPass | None:
    """Return the filter from freq_min to freq_max; up to the Nyquist frequency where that is lower.

    None where the configuration asks for none.

    Raises:
        InvalidConfigurationError: freq_min is missing or not below the Nyquist frequency.
    """
    low_hz, high_hz, nyquist_hz = config.freq_min, config.freq_max, sampling_rate_hz / 2
    if low_hz is None and high_hz is None:
        return None
    if low_hz is None or low_hz >= _NYQUIST_SHARE * nyquist_hz:
        raise InvalidConfigurationError(
            f"recording.freq_min must be below half the sampling rate ({nyquist_hz:g} Hz), and set "
            "when freq_max is.",
            field="recording.freq_min",
            value=low_hz,
        )
    is_open = high_hz is None or high_hz >= _NYQUIST_SHARE * nyquist_hz
    sos = iirfilter(
        ORDER,
        low_hz if is_open else [low_hz, high_hz],
        btype="highpass" if is_open else "bandpass",
        ftype="butter",
        output="sos",
        fs=sampling_rate_hz,
    )
    n_taps = 2 * len(sos) + 1 - min(np.sum(sos[:, 2] == 0), np.sum(sos[:, 5] == 0))
    margin_ms = MARGIN_PERIODS * (1000.0 / low_hz)
    return BandPass(np.asarray(sos), int(margin_ms * sampling_rate_hz / 1000.0), int(3 * n_taps))
