"""Simulated recordings in the real file formats, with the spikes they hold known."""

from spikefleet.signal.simulation.request import (
    Condition,
    SimulatedRecording,
    SimulationRequest,
)
from spikefleet.signal.simulation.truth import Truth, load_truth
from spikefleet.signal.simulation.writing import simulate

__all__ = [
    "Condition",
    "SimulatedRecording",
    "SimulationRequest",
    "Truth",
    "load_truth",
    "simulate",
]
