"""What the curation room is asked and answers; also what crosses into its confined process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import AttemptPlace

if TYPE_CHECKING:  # a rig's client imports no configuration
    from spikefleet.core.config.units import CurationConfig, WaveformConfig


@dataclass(frozen=True)
class CurationTask:
    """A sort to measure and curate by these groups; ``attempt`` is the one at work."""

    sort: AttemptPlace
    attempt: AttemptPlace
    curation: CurationConfig
    waveform: WaveformConfig


@dataclass(frozen=True)
class CurationAnswer:
    """Units before and after, and the prefix written; or the failure."""

    unit_count_sorted: int = 0
    unit_count_curated: int = 0
    prefix: str = ""
    failure: Failure | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        failure = self.failure.to_json() if self.failure else None
        return {**asdict(self), "failure": failure}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CurationAnswer:
        """Read what ``to_json`` wrote. Raises ValueError, KeyError or TypeError for nonsense."""
        failure = document["failure"]
        return cls(
            int(document["unit_count_sorted"]),
            int(document["unit_count_curated"]),
            failure=Failure.from_json(failure) if failure else None,
        )
