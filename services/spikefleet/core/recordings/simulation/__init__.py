"""Simulated recordings in the real file formats, with the spikes they hold known."""

from spikefleet.core.recordings.simulation.request import (
    Condition,
    SimulatedRecording,
    SimulationRequest,
)
from spikefleet.core.recordings.simulation.truth import Truth, load_truth
from spikefleet.core.recordings.simulation.writing import simulate

__all__ = [
    "Condition",
    "SimulatedRecording",
    "SimulationRequest",
    "Truth",
    "load_truth",
    "simulate",
]
