"""Units whose action potential travels: from the axon's initial segment along a bent axon.

Every electrode sees the one place of the axon that reaches it most strongly: one spike, later by
the way along the axon over the velocity, lower with the distance, and on the axon lower and
narrower than at the initial segment, with a positive phase before it. Dendrites, branches and what
several places add up to are left out, so that an electrode's latency is one number that is known.

Velocities are those measured of unmyelinated cortical axons on arrays of electrodes, 0.3 to
0.7 m/s, as is that an axon's signal is a fraction of its initial segment's (Bakkum et al. 2013,
Nature Communications 4:2181; Radivojevic et al. 2017, eLife 6:e30198).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.simulation.truth import Propagation

_STEP_UM = 0.5
_LONGEST_UM = 600.0
_VELOCITIES_UM_PER_MS = (300.0, 700.0)
_INITIAL_SEGMENT_UM = 30.0  # over this length the signal becomes the axon's
_AXON_SHARE = (0.25, 0.4)  # of the initial segment's amplitude
_SEGMENT_DECAY_UM, _AXON_DECAY_UM = (18.0, 35.0), (14.0, 20.0)
_SEEN_UV = 1.0  # an electrode that sees less has no latency
_N_HEADINGS = 24
_SPIKE_MS = 2.0  # from the trough to where nothing is left

Floats = NDArray[np.float64]


class _Bell(NamedTuple):
    height: float
    at_ms: float
    width_ms: float


# Bells of 0.07 ms and more hold next to nothing above 10 kHz: they can be read between samples.
_SEGMENT = (_Bell(0.05, -0.35, 0.12), _Bell(-1.0, 0.0, 0.1), _Bell(0.25, 0.55, 0.28))
_AXON = (_Bell(0.35, -0.22, 0.09), _Bell(-1.0, 0.0, 0.075), _Bell(0.3, 0.26, 0.12))


@dataclass(frozen=True)
class AxonalUnits:
    """Templates are units x samples x channels, in µV; a spike's sample is the root's trough."""

    templates_uv: NDArray[np.float32]
    ms_before: float
    ms_after: float
    propagation: Propagation


@dataclass(frozen=True)
class _Axon:
    """Points along one axon: where (points x (x, y, z)), how far along, and when reached."""

    places_um: Floats
    along_um: Floats
    arrivals_ms: Floats
    velocities_um_per_ms: Floats


@dataclass(frozen=True)
class _Footprint:
    """What each electrode sees of one axon: the trough (positive), and the point it sees."""

    troughs_uv: Floats
    points: NDArray[np.int64]


def make_axonal_units(
    contacts_um: Floats, roots_um: Floats, amplitudes_uv: Floats, rate_hz: float, seed: int
) -> AxonalUnits:
    """Return units that begin at ``roots_um`` (units x (x, y, z)), every other at one velocity.

    ``amplitudes_uv`` are the troughs on the electrodes that see the units best: their roots.
    """
    rng = np.random.default_rng([seed, 3])
    axons = [
        _grow(contacts_um, root_um, rng, varying=index % 2 == 1)
        for index, root_um in enumerate(roots_um)
    ]
    seen = [
        _seen(axon, contacts_um, amplitude_uv, rng)
        for axon, amplitude_uv in zip(axons, amplitudes_uv, strict=True)
    ]
    propagation = _told(axons, seen)
    latest_ms = float(np.nanmax(propagation.latencies_ms))
    earliest_ms = float(np.nanmin(propagation.latencies_ms))
    ms_before = np.ceil(1.0 - earliest_ms)
    ms_after = np.ceil(latest_ms + _SPIKE_MS)
    samples_ms = np.arange(-round(ms_before * rate_hz / 1e3), round(ms_after * rate_hz / 1e3))
    samples_ms = samples_ms / rate_hz * 1e3
    templates_uv = np.stack(
        [
            _template(axon, footprint, row, samples_ms)
            for axon, footprint, row in zip(axons, seen, propagation.latencies_ms, strict=True)
        ]
    )
    return AxonalUnits(templates_uv, float(ms_before), float(ms_after), propagation)


def _grow(
    contacts_um: Floats, root_um: Floats, rng: np.random.Generator, *, varying: bool
) -> _Axon:
    """One axon that bends as it goes, in a direction in which it stays long over the array."""
    along_um = np.arange(0.0, _LONGEST_UM, _STEP_UM)
    bend, wave_um, phase = (
        rng.uniform(0.3, 0.7),
        rng.uniform(200.0, 400.0),
        rng.uniform(0, 2 * np.pi),
    )
    bends = bend * (np.sin(2 * np.pi * along_um / wave_um + phase) - np.sin(phase))
    headings = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(_N_HEADINGS) / _N_HEADINGS
    ways = [_walk(root_um[:2], heading + bends) for heading in headings]
    lengths = np.array([_steps_over(contacts_um, way) for way in ways])
    long = np.flatnonzero(lengths >= 0.7 * lengths.max())
    chosen = int(rng.choice(long))
    n_points = max(int(lengths[chosen]), 2)
    along_um, across_um = along_um[:n_points], ways[chosen][:n_points]
    velocities = np.full(n_points, rng.uniform(*_VELOCITIES_UM_PER_MS))
    change, wave_um, phase = (
        rng.uniform(0.2, 0.35),
        rng.uniform(150.0, 300.0),
        rng.uniform(0, 2 * np.pi),
    )
    if varying:
        velocities = velocities * np.exp(change * np.sin(2 * np.pi * along_um / wave_um + phase))
    steps_ms = _STEP_UM * (1 / velocities[1:] + 1 / velocities[:-1]) / 2
    arrivals_ms = np.concatenate([[0.0], np.cumsum(steps_ms)])
    places_um = np.column_stack([across_um, np.full(n_points, root_um[2])])
    return _Axon(places_um, along_um, arrivals_ms, velocities)


def _walk(start_um: Floats, headings: Floats) -> Floats:
    steps_um = _STEP_UM * np.column_stack([np.cos(headings[:-1]), np.sin(headings[:-1])])
    return np.asarray(start_um + np.vstack([np.zeros(2), np.cumsum(steps_um, axis=0)]))


def _steps_over(contacts_um: Floats, way_um: Floats) -> int:
    """How many of the first points are over the array, with a margin of one root's place."""
    low_um, high_um = contacts_um.min(axis=0) - 10.0, contacts_um.max(axis=0) + 10.0
    outside = ((way_um < low_um) | (way_um > high_um)).any(axis=1)
    return int(np.argmax(outside)) if outside.any() else len(way_um)


def _seen(
    axon: _Axon, contacts_um: Floats, amplitude_uv: float, rng: np.random.Generator
) -> _Footprint:
    share, is_axon = rng.uniform(*_AXON_SHARE), _axon_part(axon.along_um)
    strengths = 1.0 - is_axon * (1.0 - share)
    segment_um, axon_um = rng.uniform(*_SEGMENT_DECAY_UM), rng.uniform(*_AXON_DECAY_UM)
    decays_um = segment_um + is_axon * (axon_um - segment_um)
    flat_um = np.column_stack([contacts_um, np.zeros(len(contacts_um))])
    troughs, points = np.empty(len(flat_um)), np.empty(len(flat_um), np.int64)
    for channel, contact_um in enumerate(flat_um):
        distances_um = np.linalg.norm(axon.places_um - contact_um, axis=1)
        reaching = strengths * np.exp(-distances_um / decays_um)
        points[channel] = np.argmax(reaching)
        troughs[channel] = reaching[points[channel]]
    return _Footprint(troughs * (amplitude_uv / troughs.max()), points)


def _axon_part(along_um: Floats) -> Floats:
    """How much of the signal is the axon's: 0 at the initial segment, nearly 1 far from it."""
    return np.asarray(1.0 - np.exp(-along_um / _INITIAL_SEGMENT_UM))


def _told(axons: Sequence[_Axon], seen: Sequence[_Footprint]) -> Propagation:
    troughs_uv = np.stack([footprint.troughs_uv for footprint in seen])
    roots = np.argmax(troughs_uv, axis=1)
    arrivals_ms = np.stack(
        [axon.arrivals_ms[footprint.points] for axon, footprint in zip(axons, seen, strict=True)]
    )
    latencies_ms = arrivals_ms - arrivals_ms[np.arange(len(roots)), roots][:, np.newaxis]
    speeds = [axon.velocities_um_per_ms for axon in axons]
    return Propagation(
        root_channels=roots,
        latencies_ms=np.where(troughs_uv >= _SEEN_UV, latencies_ms, np.nan),
        troughs_uv=troughs_uv,
        velocities_um_per_ms=np.array([[speed.min(), speed.max()] for speed in speeds]),
        paths=tuple(
            np.column_stack([axon.places_um, axon.arrivals_ms])[:: round(2.0 / _STEP_UM)]
            for axon in axons
        ),
    )


def _template(
    axon: _Axon, footprint: _Footprint, latencies_ms: Floats, samples_ms: Floats
) -> NDArray[np.float32]:
    """Samples x channels; an electrode that sees too little has nothing."""
    times_ms = samples_ms[:, np.newaxis] - np.nan_to_num(latencies_ms)
    share = _axon_part(axon.along_um[footprint.points])
    shapes = (1.0 - share) * _waveform(_SEGMENT, times_ms) + share * _waveform(_AXON, times_ms)
    return np.where(np.isnan(latencies_ms), 0.0, footprint.troughs_uv * shapes).astype(np.float32)


def _waveform(bells: Sequence[_Bell], times_ms: Floats) -> Floats:
    """The sum of bells at any times, moved and scaled so that its trough is at 0 ms, -1 deep."""

    def total(at_ms: Floats) -> Floats:
        parts = [b.height * np.exp(-0.5 * ((at_ms - b.at_ms) / b.width_ms) ** 2) for b in bells]
        return np.asarray(np.sum(parts, axis=0))

    near_ms = np.arange(-0.1, 0.1, 0.0005)
    near = total(near_ms)
    trough = int(np.argmin(near))
    return np.asarray(total(times_ms + near_ms[trough]) / -near[trough])
