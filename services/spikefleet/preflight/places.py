"""Where preflight finds things on this machine; plain data that crosses into a confined process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PreflightPlaces:
    """Where things are: the artifact store's URL, the folder attempts scratch in, and the folder
    of each uploaded recording on this machine by its location in the store.

    ``sorts_here`` is False where sorts run on other machines, whose memory and scratch they are.
    """

    artifacts_url: str
    scratch_folder: str
    roots: Mapping[str, str] = field(default_factory=dict)
    sorts_here: bool = True
