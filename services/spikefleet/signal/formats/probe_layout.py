"""Several probes in one recording, given to every sorter as one, none of them on top of another.

Formats keep each probe's places relative to itself, so two probes, or four tetrodes, come with the
same coordinates. A sorter that takes them so merges the neurons of one with those of the other.
Here such probes are moved apart along x; probes that already are apart stay where they are. What
was a probe becomes a shank of the one probe, so that groups stay distinct.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from probeinterface import Probe
from spikeinterface.core import BaseRecording

BETWEEN_PROBES_UM = 1000.0
"""Farther than any sorter looks for a neuron's other channels."""
LAID_APART = "probes_laid_apart"


def lay_probes_apart(recording: BaseRecording) -> bool:
    """Make one probe of a recording's several, in place; say whether any was moved.

    A recording with one probe is left as it is. Annotation "probes_laid_apart" counts the probes
    where they were moved.
    """
    if not recording.has_probe() or len(recording.get_probegroup().probes) < 2:
        return False
    places_um = np.asarray(recording.get_channel_locations(), dtype=np.float64)[:, :2]
    groups = np.asarray(recording.get_channel_groups()).astype(str)
    names = list(dict.fromkeys(groups.tolist()))
    members = [np.flatnonzero(groups == name) for name in names]
    moved = _any_overlap([places_um[rows] for rows in members])
    if moved:
        places_um = _side_by_side(places_um, members)
    original = recording.get_channel_groups()
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=places_um,
        shapes="circle",
        shape_params={"radius": 1.0},
        shank_ids=groups,
    )
    probe.set_device_channel_indices(np.arange(len(places_um)))
    recording.set_probe(probe)
    recording.set_channel_groups(original)
    if moved:
        recording.annotate(**{LAID_APART: len(names)})
    return moved


def _any_overlap(probes_um: list[NDArray[np.float64]]) -> bool:
    """Say whether the boxes around any two probes share ground; edges count."""
    known = [places[np.isfinite(places).all(axis=1)] for places in probes_um]
    boxes = [(places.min(axis=0), places.max(axis=0)) for places in known if len(places)]
    # In order of their left edge, only those that begin before another ends can overlap.
    boxes.sort(key=lambda box: float(box[0][0]))
    for index, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[index + 1 :]:
            if other_low[0] > high[0]:
                break
            if other_low[1] <= high[1] and low[1] <= other_high[1]:
                return True
    return False


def _side_by_side(
    places_um: NDArray[np.float64], members: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Return the places with each probe right of the one before; y stays."""
    laid = places_um.copy()
    for before, rows in pairwise(members):
        right_um = np.nanmax(laid[before, 0], initial=0.0)
        left_um = np.nanmin(places_um[rows, 0], initial=np.inf)
        if np.isfinite(left_um):
            laid[rows, 0] += right_um + BETWEEN_PROBES_UM - left_um
    return laid
