"""Recordings in every state a rig hands over, with spikes where we put them, made while read.

Each state has one right answer: it can be sorted, or it is unsortable for a named reason. States
are made from a seed, so that rates of wrong answers can be counted over many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from spikeinterface.core import BaseRecording, BaseRecordingSegment

Block = NDArray[np.float32]
# Shapes what was generated for the samples from a frame on: (µV, first frame, rate in Hz) -> µV.
Shape = Callable[[Block, int, float], Block]


@dataclass(frozen=True)
class Signal:
    """What a recording holds. ``spikes`` are (times in s, channel, negative peak in µV)."""

    n_channels: int = 16
    duration_s: float = 60.0
    rate_hz: float = 20_000.0
    sigma_uv: float = 5.0
    noise: str = "white"
    spikes: tuple[tuple[NDArray[np.float64], int, float], ...] = ()
    shapes: tuple[Shape, ...] = ()
    gain_uv: float = 0.195
    zero_code: int = 0
    dtype: str = "int16"
    code_shapes: tuple[Callable[[NDArray[Any], int, float], NDArray[Any]], ...] = ()


class SignalRecording(BaseRecording):
    """The codes (or µV, for floats) of a ``Signal``, generated in blocks of one second."""

    def __init__(self, signal: Signal, seed: int) -> None:
        ids = [str(index) for index in range(signal.n_channels)]
        super().__init__(signal.rate_hz, ids, signal.dtype)
        self.add_recording_segment(_Segment(signal, seed))
        self.set_channel_gains(signal.gain_uv)
        self.set_channel_offsets(-signal.zero_code * signal.gain_uv)
        self._serializability = {"memory": True, "json": False, "pickle": False}


class _Segment(BaseRecordingSegment):
    def __init__(self, signal: Signal, seed: int) -> None:
        super().__init__(sampling_frequency=signal.rate_hz)
        self._signal, self._seed = signal, seed
        self._template = _template(signal.rate_hz)

    def get_num_samples(self) -> int:
        return round(self._signal.duration_s * self._signal.rate_hz)

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        signal = self._signal
        uv = self._noise(start_frame, end_frame)
        for times_s, channel, peak_uv in signal.spikes:
            self._add(uv, start_frame, times_s, channel, peak_uv)
        for shape in signal.shapes:
            uv = shape(uv, start_frame, signal.rate_hz)
        if signal.dtype.startswith("float"):
            codes: NDArray[Any] = (uv / np.float32(signal.gain_uv)).astype(signal.dtype)
        else:
            limits = np.iinfo(signal.dtype)
            codes = np.rint(uv / np.float32(signal.gain_uv)) + signal.zero_code
            codes = np.clip(codes, limits.min, limits.max).astype(signal.dtype)
        for code_shape in signal.code_shapes:
            codes = code_shape(codes, start_frame, signal.rate_hz)
        return codes if channel_indices is None else codes[:, channel_indices]

    def _noise(self, start: int, end: int) -> Block:
        signal = self._signal
        length = round(signal.rate_hz)
        first, last = start // length, (end - 1) // length
        blocks = [self._noise_block(index, length) for index in range(first, last + 1)]
        return np.concatenate(blocks)[start - first * length : end - first * length].copy()

    def _noise_block(self, index: int, length: int) -> Block:
        signal = self._signal
        rng = np.random.default_rng([self._seed, index])
        own = rng.standard_normal((length, signal.n_channels), dtype=np.float32)
        if signal.noise == "pink":
            coloured = lfilter([1.0], [1.0, -0.9], own, axis=0) * np.sqrt(1 - 0.81)
            own = coloured.astype(np.float32)
        elif signal.noise.startswith("common"):
            share = float(signal.noise.removeprefix("common:"))
            shared = rng.standard_normal((length, 1), dtype=np.float32)
            own = np.float32(np.sqrt(1 - share)) * own + np.float32(np.sqrt(share)) * shared
        return own * np.float32(signal.sigma_uv)

    def _add(
        self, uv: Block, start: int, times_s: NDArray[np.float64], channel: int, peak_uv: float
    ) -> None:
        frames = np.rint(times_s * self._signal.rate_hz).astype(int) - start
        length = len(self._template)
        for frame in frames[(frames > -length) & (frames < len(uv))]:
            low, high = max(0, frame), min(len(uv), frame + length)
            piece = self._template[low - frame : high - frame] * np.float32(peak_uv)
            for away, share in ((0, 1.0), (1, 0.5), (-1, 0.5), (2, 0.2), (-2, 0.2)):
                if 0 <= channel + away < uv.shape[1]:
                    uv[low:high, channel + away] += piece * np.float32(share)


def _template(rate_hz: float) -> Block:
    """A spike of peak -1 and an after-wave, two milliseconds long."""
    at_ms = np.arange(round(0.002 * rate_hz)) / rate_hz * 1000
    wave = -np.exp(-(((at_ms - 0.5) / 0.15) ** 2)) + 0.35 * np.exp(-(((at_ms - 1.0) / 0.3) ** 2))
    return (wave / -wave.min()).astype(np.float32)


def regular(rng: np.random.Generator, rate_hz: float, start_s: float, end_s: float) -> Any:
    """Return spike times of a Poisson train."""
    count = rng.poisson(rate_hz * (end_s - start_s))
    return np.sort(rng.uniform(start_s, end_s - 0.01, count))


def exactly(rng: np.random.Generator, count: int, end_s: float) -> Any:
    """Return that many spike times, anywhere."""
    return np.sort(rng.uniform(0.05, end_s - 0.05, count))


def mains(peak_uv: float) -> Shape:
    """Add 50 Hz hum with odd harmonics that fall off."""

    def shape(uv: Block, start: int, rate_hz: float) -> Block:
        at_s = (start + np.arange(len(uv))) / rate_hz
        hum = sum(
            peak_uv / order**2 * np.sin(2 * np.pi * 50 * order * at_s) for order in (1, 3, 5, 7)
        )
        return uv + np.asarray(hum, dtype=np.float32)[:, np.newaxis]

    return shape


def stimulation(every_s: float, peak_uv: float) -> Shape:
    """Add pulses of 1 ms that decay over some milliseconds, on every channel."""

    def shape(uv: Block, start: int, rate_hz: float) -> Block:
        period = round(every_s * rate_hz)
        after = (start + np.arange(len(uv))) % period / rate_hz
        pulse = np.where(after < 0.001, 1.0, np.exp(-(after - 0.001) / 0.004))
        pulse[after > 0.03] = 0.0
        scale = np.linspace(0.5, 1.0, uv.shape[1]) * peak_uv
        return uv + (pulse[:, np.newaxis] * scale).astype(np.float32)

    return shape


def growing(low: float, high: float, duration_s: float) -> Shape:
    """Let the amplitude grow over the recording."""

    def shape(uv: Block, start: int, rate_hz: float) -> Block:
        share = (start + np.arange(len(uv), dtype=np.float32)) / (duration_s * rate_hz)
        return uv * (low + (high - low) * share)[:, np.newaxis]

    return shape


def stuck(share: float, code: int) -> Callable[[NDArray[Any], int, float], NDArray[Any]]:
    """Hold the first channels at one code."""

    def shape(codes: NDArray[Any], _start: int, _rate_hz: float) -> NDArray[Any]:
        codes[:, : round(share * codes.shape[1])] = code
        return codes

    return shape


def at_rail(share: float) -> Callable[[NDArray[Any], int, float], NDArray[Any]]:
    """Hold every channel at the rail for a share of each second."""

    def shape(codes: NDArray[Any], start: int, rate_hz: float) -> NDArray[Any]:
        phase = (start + np.arange(len(codes))) % round(rate_hz) / rate_hz
        codes[phase < share] = np.iinfo(codes.dtype).max
        return codes

    return shape


def _units(
    rng: np.random.Generator, signal: Signal, rate_hz: float, peak_uv: float, count: int = 3
) -> Signal:
    channels = rng.choice(signal.n_channels, min(count, signal.n_channels), replace=False)
    spikes = tuple(
        (regular(rng, rate_hz, 0.0, signal.duration_s), int(channel), peak_uv)
        for channel in channels
    )
    return replace(signal, spikes=signal.spikes + spikes)


def _bursty(rng: np.random.Generator, signal: Signal, every_s: float) -> Signal:
    starts = np.arange(rng.uniform(0.1, every_s), signal.duration_s - 1.0, every_s)
    spikes = tuple(
        (np.concatenate([regular(rng, 40.0, s, s + 0.5) for s in starts]), channel, 50.0)
        for channel in range(0, signal.n_channels, 2)
    )
    return replace(signal, spikes=spikes)


def _late(rng: np.random.Generator, signal: Signal, from_s: float) -> Signal:
    spikes = tuple(
        (regular(rng, 5.0, from_s, signal.duration_s), int(channel), 60.0)
        for channel in rng.choice(signal.n_channels, 4, replace=False)
    )
    return replace(signal, spikes=spikes)


def _one(rng: np.random.Generator, signal: Signal, count: int, peak_uv: float) -> Signal:
    """Put that many spikes on one channel, and none anywhere else."""
    channel = int(rng.integers(signal.n_channels))
    return replace(signal, spikes=((exactly(rng, count, signal.duration_s), channel, peak_uv),))


Make = Callable[[np.random.Generator], Signal]
_MAXWELL = Signal(gain_uv=6.3, zero_code=512, dtype="uint16", sigma_uv=3.5)
_LARGE = Signal(n_channels=64, duration_s=30.0)

HEALTHY: dict[str, Make] = {
    "three spikes a minute on one channel, 5 min": lambda rng: _one(
        rng, Signal(duration_s=300.0), 15, 50.0
    ),
    "four spikes in one minute, one channel": lambda rng: _one(rng, Signal(), 4, 60.0),
    "four spikes a minute on one of 32 channels, 1 h": lambda rng: _one(
        rng, Signal(n_channels=32, duration_s=3600.0), 240, 60.0
    ),
    "bursts of 0.5 s every 30 s": lambda rng: _bursty(
        rng, Signal(n_channels=8, duration_s=600.0), 30.0
    ),
    "bursts of 0.5 s every 60 s, 1 h": lambda rng: _bursty(
        rng, Signal(n_channels=8, duration_s=3600.0), 60.0
    ),
    "first 2 s quiet": lambda rng: _late(rng, Signal(duration_s=20.0), 2.0),
    "first 4 of 5 min quiet": lambda rng: _late(rng, Signal(n_channels=8, duration_s=300.0), 240.0),
    "18 uV over 4 uV of noise": lambda rng: _units(rng, Signal(sigma_uv=4.0), 4.0, -18.0),
    "15 uV over 3 uV of noise": lambda rng: _units(rng, Signal(sigma_uv=3.0), 4.0, 15.0),
    "20 uV over 5 uV of noise": lambda rng: _units(rng, Signal(), 4.0, 20.0),
    "one channel": lambda rng: _units(rng, Signal(n_channels=1), 1.0, 60.0),
    "four channels": lambda rng: _units(rng, Signal(n_channels=4), 1.0, 60.0, 1),
    "hum of 2 mV": lambda rng: _units(rng, Signal(shapes=(mains(2000.0),)), 2.0, 50.0),
    "stimulation of 5 mV at 10 Hz, 64 channels": lambda rng: _units(
        rng, replace(_LARGE, shapes=(stimulation(0.1, 5000.0),)), 2.0, 60.0
    ),
    "stimulation of 5 mV at 10 Hz, 8 channels": lambda rng: _units(
        rng, Signal(n_channels=8, shapes=(stimulation(0.1, 5000.0),)), 2.0, 60.0
    ),
    "uint16 at 6.3 uV per count, 40 uV": lambda rng: _units(rng, _MAXWELL, 2.0, 40.0),
    "uint16 at 6.3 uV per count, 20 uV": lambda rng: _units(rng, _MAXWELL, 4.0, 20.0),
    "uint16 around 32768": lambda rng: _units(
        rng, Signal(zero_code=32768, dtype="uint16"), 2.0, 50.0
    ),
    "float32 in uV": lambda rng: _units(rng, Signal(gain_uv=1.0, dtype="float32"), 2.0, 50.0),
    "15 of 16 channels flat": lambda rng: replace(
        _units(rng, Signal(code_shapes=(stuck(15 / 16, 20),)), 2.0, 60.0, 16)
    ),
    "10 of 16 channels at the rail": lambda rng: _units(
        rng, Signal(code_shapes=(stuck(10 / 16, 32767),)), 2.0, 60.0, 16
    ),
    "3 s long": lambda rng: _units(rng, Signal(duration_s=3.0), 10.0, 60.0),
    "100 Hz on every channel": lambda rng: _units(rng, Signal(duration_s=20.0), 100.0, 60.0, 16),
    "positive spikes": lambda rng: _units(rng, Signal(), 2.0, -50.0),
}
UNSORTABLE: dict[str, Make] = {
    "white noise": lambda _rng: Signal(),
    "white noise, 1 channel, 10 min": lambda _rng: Signal(n_channels=1, duration_s=600.0),
    "white noise, 32 channels, 1 h": lambda _rng: Signal(n_channels=32, duration_s=3600.0),
    "white noise, 384 channels": lambda _rng: Signal(n_channels=384, duration_s=20.0),
    "pink noise": lambda _rng: Signal(noise="pink"),
    "the same noise on 64 channels": lambda _rng: replace(_LARGE, noise="common:1.0"),
    "mostly the same noise on 64 channels": lambda _rng: replace(_LARGE, noise="common:0.8"),
    "noise of 0.3 counts": lambda _rng: Signal(gain_uv=6.3, sigma_uv=2.0),
    "noise of 0.6 counts, unsigned": lambda _rng: _MAXWELL,
    "noise of 1 count": lambda _rng: Signal(gain_uv=6.3, sigma_uv=6.3),
    "noise that grows": lambda _rng: Signal(shapes=(growing(0.3, 3.0, 60.0),)),
    "noise and hum of 2 mV": lambda _rng: Signal(shapes=(mains(2000.0),)),
    "noise and stimulation, 64 channels": lambda _rng: replace(
        _LARGE, shapes=(stimulation(0.1, 5000.0),)
    ),
    "float32 noise": lambda _rng: Signal(gain_uv=1.0, dtype="float32"),
    "digital zeros": lambda _rng: Signal(duration_s=20.0, code_shapes=(stuck(1.0, 0),)),
    "every channel flat": lambda _rng: Signal(duration_s=20.0, code_shapes=(stuck(1.0, 37),)),
    "every channel at the rail": lambda _rng: Signal(
        duration_s=20.0, code_shapes=(stuck(1.0, 32767),)
    ),
    "at the rail four fifths of the time": lambda rng: _units(
        rng, Signal(duration_s=20.0, code_shapes=(at_rail(0.8),)), 5.0, 60.0
    ),
    "10 of 16 channels at the rail, noise on the others": lambda _rng: Signal(
        duration_s=20.0, code_shapes=(stuck(10 / 16, 32767),)
    ),
    "15 of 16 channels flat, noise on the other": lambda _rng: Signal(
        duration_s=20.0, code_shapes=(stuck(15 / 16, 20),)
    ),
}


def make_state(states: dict[str, Make], name: str, seed: int) -> SignalRecording:
    """Return the named state as a recording; another seed is another recording."""
    return SignalRecording(states[name](np.random.default_rng([seed, 7])), seed)
