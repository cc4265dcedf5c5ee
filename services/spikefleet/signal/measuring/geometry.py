"""Where the contacts are, as far as that can be doubted: one place for all, or no array's pitch.

Sorters place units by the contacts' distances in µm. Says nothing of the order of the channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from spikeinterface.core import BaseRecording

# From the densest array made to the widest surface grid.
PITCH_UM = (2.0, 5_000.0)


@dataclass(frozen=True)
class Geometry:
    """``pitch_um`` is the median distance to the nearest other place, within a group.

    ``most_in_group`` counts the contacts of the largest group (probe, shank, tetrode).
    """

    n_contacts: int
    n_places: int
    pitch_um: float | None
    n_without_place: int = 0
    most_in_group: int = 0

    @property
    def doubt(self) -> str:
        """What is wrong with it, in words; empty when nothing is."""
        if self.n_contacts == 0:
            return "The recording says nothing of where its contacts are"
        if self.n_without_place:
            return f"{self.n_without_place} contacts have no place (not a number)"
        if self.n_contacts > 1 and self.n_places == 1:
            return f"All {self.n_contacts} contacts are at one place"
        low_um, high_um = PITCH_UM
        if self.pitch_um is not None and not low_um <= self.pitch_um <= high_um:
            return f"Contacts are {self.pitch_um:.3g} µm apart, as no array's are"
        return ""


def describe_geometry(recording: BaseRecording) -> Geometry:
    """Describe a recording's contacts; groups (probes, shanks) are looked at one by one."""
    if not recording.has_probe():
        return Geometry(0, 0, None)
    places_um = np.asarray(recording.get_channel_locations(), dtype=np.float64)
    known = np.isfinite(places_um).all(axis=1)
    groups = np.asarray(recording.get_channel_groups()).astype(str)
    most_in_group = int(np.unique(groups, return_counts=True)[1].max(initial=0))
    groups, places_um, n_contacts = groups[known], places_um[known], len(places_um)
    distances, n_places = [], 0
    for group in np.unique(groups):
        distinct = np.unique(np.round(places_um[groups == group], 4), axis=0)
        n_places += len(distinct)
        if len(distinct) > 1:
            distances.append(cKDTree(distinct).query(distinct, k=2)[0][:, 1])
    pitch_um = float(np.median(np.concatenate(distances))) if distances else None
    return Geometry(n_contacts, n_places, pitch_um, int((~known).sum()), most_in_group)
