"""The signal a simulated recording holds: ground truth in µV, and the integer codes of it.

The signal comes from SpikeInterface's ground-truth generator with unit amplitudes set by us, so
that every unit is clearly sortable and none is trivially so; units with axons come from ``axons``.
Conditions are put over it here; formats only write what ``CodedRecording`` reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe, generate_multi_columns_probe
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikeinterface.generation import (
    NoiseGeneratorRecording,
    generate_ground_truth_recording,
    generate_sorting,
    generate_templates,
)

from spikefleet.signal.simulation.axons import make_axonal_units
from spikefleet.signal.simulation.request import Condition, SimulationRequest
from spikefleet.signal.simulation.truth import Propagation, Truth

NOISE_UV = 6.0
_AMPLITUDES_UV = (60.0, 150.0)  # signal to noise of 10 to 25
_RATES_HZ = (8.0, 15.0)
_MS_BEFORE, _MS_AFTER = 1.0, 3.0
_NAN_BURST_SAMPLES = 100
_SATURATED_FRACTION = 0.8
_SPIKELESS = (Condition.SILENT, Condition.FLAT, Condition.NOISE, Condition.EMPTY)

Progress = Callable[[float], None]


@dataclass(frozen=True)
class StoredCoding:
    """How a format stores µV: ``code = round(uv / lsb_uv) + zero_code``, within the rails."""

    lsb_uv: float
    low_code: int = -32768
    high_code: int = 32767
    zero_code: int = 0
    dtype: str = "int16"


def two_column_probe(n_channels: int) -> Probe:
    """Return contacts 20 µm apart in two columns, channel i on contact i."""
    per_column = [n_channels - n_channels // 2, n_channels // 2]
    columns = per_column if per_column[1] else per_column[:1]
    probe = generate_multi_columns_probe(
        num_columns=len(columns), num_contact_per_column=columns, xpitch=20, ypitch=20
    )
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


def square_block(n_channels: int) -> NDArray[np.int64]:
    """Return (row, column) x channels of a block of electrodes that is as square as they fill."""
    columns = math.ceil(math.sqrt(n_channels))
    index = np.arange(n_channels)
    return np.stack([index // columns, index % columns])


def square_probe(n_channels: int, pitch_um: float) -> Probe:
    """Return electrodes in rows and columns, channel i on electrode i."""
    rows, columns = square_block(n_channels)
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=np.stack([columns, rows], axis=1) * pitch_um,
        shapes="circle",
        shape_params={"radius": min(5.0, pitch_um / 3)},
    )
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


def make_signal(
    request: SimulationRequest, probe: Probe, seed: int, condition: Condition
) -> tuple[BaseRecording, Truth]:
    """Return (the signal in µV as a lazily generated recording, its truth)."""
    rate_hz = request.rate_hz
    duration_s = request.n_samples / rate_hz
    if condition in _SPIKELESS or request.n_units == 0:
        noise = NoiseGeneratorRecording(
            num_channels=request.n_channels,
            sampling_frequency=rate_hz,
            durations=[duration_s],
            noise_levels=NOISE_UV,
            seed=seed,
            strategy="on_the_fly",
        )
        noise.set_probe(probe)
        return noise, Truth.without_units(rate_hz)
    units = _make_units(request, probe, seed)
    rng = np.random.default_rng(seed)
    sorting = generate_sorting(
        num_units=request.n_units,
        sampling_frequency=rate_hz,
        durations=[duration_s],
        firing_rates=list(rng.uniform(*_RATES_HZ, request.n_units)),
        refractory_period_ms=4.0,
        seed=seed,
    )
    recording, sorting = generate_ground_truth_recording(
        durations=[duration_s],
        sampling_frequency=rate_hz,
        sorting=sorting,
        probe=probe,
        templates=units.templates_uv,
        ms_before=units.ms_before,
        ms_after=units.ms_after,
        noise_kwargs={"noise_levels": NOISE_UV, "strategy": "on_the_fly"},
        seed=seed,
    )
    names = tuple(f"u{index:03d}" for index in range(request.n_units))
    trains = {
        name: sorting.get_unit_spike_train(unit).astype(np.int64)
        for name, unit in zip(names, sorting.unit_ids, strict=True)
    }
    return recording, Truth(
        unit_ids=names,
        spike_samples=trains,
        sampling_rate_hz=rate_hz,
        locations_um=units.locations_um,
        peak_amplitudes_uv=units.amplitudes_uv,
        propagation=units.propagation,
    )


@dataclass(frozen=True)
class _Units:
    """Templates are units x samples x channels, their trough ``ms_before`` after their start."""

    locations_um: NDArray[np.float64]
    amplitudes_uv: NDArray[np.float64]
    templates_uv: NDArray[np.float32]
    ms_before: float = _MS_BEFORE
    ms_after: float = _MS_AFTER
    propagation: Propagation | None = None


def _make_units(request: SimulationRequest, probe: Probe, seed: int) -> _Units:
    contacts_um = probe.contact_positions
    locations_um = _place_units(contacts_um, request.n_units, seed)
    rng = np.random.default_rng([seed, 1])
    amplitudes_uv = rng.permutation(np.geomspace(*_AMPLITUDES_UV, request.n_units))
    if request.propagation:
        axonal = make_axonal_units(contacts_um, locations_um, amplitudes_uv, request.rate_hz, seed)
        return _Units(
            locations_um,
            amplitudes_uv,
            axonal.templates_uv,
            axonal.ms_before,
            axonal.ms_after,
            axonal.propagation,
        )
    templates = generate_templates(
        contacts_um,
        locations_um,
        request.rate_hz,
        _MS_BEFORE,
        _MS_AFTER,
        seed=seed,
        unit_params={"spatial_decay": (18.0, 35.0)},
    )
    peaks = np.abs(templates.min(axis=(1, 2)))
    scaled = templates * (amplitudes_uv / peaks)[:, np.newaxis, np.newaxis]
    return _Units(locations_um, amplitudes_uv, scaled.astype(np.float32))


def _place_units(contacts_um: NDArray[np.float64], n_units: int, seed: int) -> NDArray[np.float64]:
    """Return units x (x, y, z): each new unit by the contact farthest from those before it."""
    rng = np.random.default_rng([seed, 2])
    chosen = [int(rng.integers(len(contacts_um)))]
    distances = np.linalg.norm(contacts_um - contacts_um[chosen[0]], axis=1)
    while len(chosen) < n_units:
        chosen.append(int(np.argmax(distances)))
        fresh = np.linalg.norm(contacts_um - contacts_um[chosen[-1]], axis=1)
        distances = np.minimum(distances, fresh)
    across = contacts_um[chosen[:n_units]] + rng.uniform(-6.0, 6.0, (n_units, 2))
    depths = rng.uniform(8.0, 20.0, (n_units, 1))
    return np.hstack([across, depths])


class CodedRecording(BaseRecording):  # type: ignore[misc]
    """A µV signal under a condition, as the integer codes (or float µV) a format stores.

    Generates on reading, so memory is bounded by the block asked for. ``progress`` gets the
    fraction read so far.
    """

    def __init__(
        self,
        signal_uv: BaseRecording,
        coding: StoredCoding,
        condition: Condition,
        progress: Progress | None = None,
    ) -> None:
        as_float = condition is Condition.NAN_BURST
        super().__init__(
            sampling_frequency=signal_uv.sampling_frequency,
            channel_ids=[str(index) for index in range(signal_uv.get_num_channels())],
            dtype="float32" if as_float else coding.dtype,
        )
        self.add_recording_segment(_CodedSegment(signal_uv, coding, condition, progress))
        n_channels = signal_uv.get_num_channels()
        gain_uv = 1.0 if as_float else coding.lsb_uv
        self.set_channel_gains(np.full(n_channels, gain_uv))
        self.set_channel_offsets(
            np.full(n_channels, 0.0 if as_float else -coding.zero_code * gain_uv)
        )
        self.set_probe(signal_uv.get_probe())
        self._serializability = {"memory": True, "json": False, "pickle": False}


class _CodedSegment(BaseRecordingSegment):  # type: ignore[misc]
    def __init__(
        self,
        signal_uv: BaseRecording,
        coding: StoredCoding,
        condition: Condition,
        progress: Progress | None,
    ) -> None:
        super().__init__(sampling_frequency=signal_uv.sampling_frequency)
        self._signal_uv = signal_uv
        self._coding = coding
        self._condition = condition
        self._progress = progress

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return int(self._signal_uv.get_num_samples())

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        """Return samples x channels as the format stores them."""
        block = self._read(start_frame, end_frame)
        if self._progress is not None:
            self._progress(end_frame / self.get_num_samples())
        return block if channel_indices is None else block[:, channel_indices]

    def _read(self, start: int, end: int) -> NDArray[Any]:
        coding, condition = self._coding, self._condition
        n_channels = self._signal_uv.get_num_channels()
        if condition is Condition.SILENT:
            return np.full((end - start, n_channels), coding.zero_code, dtype=coding.dtype)
        if condition is Condition.FLAT:
            levels = coding.zero_code + 20 + 3 * (np.arange(n_channels) % 50)
            return np.repeat(levels.astype(coding.dtype)[np.newaxis], end - start, axis=0)
        uv = self._signal_uv.get_traces(start_frame=start, end_frame=end)
        if condition is Condition.NAN_BURST:
            return self._with_burst(uv.astype(np.float32), start, end)
        codes = np.rint(uv / coding.lsb_uv) + coding.zero_code
        if condition is Condition.SATURATED:
            period = round(self._signal_uv.sampling_frequency)
            phase = np.arange(start, end) % period
            codes[phase < _SATURATED_FRACTION * period] = coding.high_code
        stored: NDArray[Any] = np.clip(codes, coding.low_code, coding.high_code)
        return stored.astype(coding.dtype)

    def _with_burst(self, uv: NDArray[np.float32], start: int, end: int) -> NDArray[np.float32]:
        first = self.get_num_samples() // 2
        low = max(first, start) - start
        high = min(first + _NAN_BURST_SAMPLES, end) - start
        if low < high:
            uv[low:high, uv.shape[1] // 2] = np.nan
        return uv
