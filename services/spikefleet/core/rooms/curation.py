"""What the curation room is asked and answers; also what crosses into its confined process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import RunId
from spikefleet.core.runs import AttemptPlace

if TYPE_CHECKING:  # a rig's client imports no configuration
    from spikefleet.core.config.units import CurationConfig, WaveformConfig


@dataclass(frozen=True)
class CurationTask:
    """A sort to measure and curate by these groups; ``attempt`` is the one at work.

    ``by_hand`` are a person's decisions, not checked yet; {}: the thresholds decide.
    """

    sort: AttemptPlace
    attempt: AttemptPlace
    curation: CurationConfig
    waveform: WaveformConfig
    by_hand: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class CurationWish:
    """A run to curate again; ``overrides`` change its own settings, ``owner`` is who asks."""

    run_id: RunId
    overrides: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    curator: str = ""
    owner: str = ""
    by_hand: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunCuration:
    """One curation of a run; ``curation_id`` is "" for the run's own, which comes first."""

    run_id: RunId  #: whose sort it judges
    curation_id: str
    name: str  #: within the run
    kind: str  #: "settings" where thresholds were changed, else where it was made by hand
    settings: Mapping[str, Any]  #: those that are not the run's
    curator: str  #: who, as he called himself
    owner: str  #: the same, as the kernel names him
    created_at: datetime  #: UTC
    sort_prefix: str  #: the sort it was made of
    n_sorted: int  #: units before
    n_curated: int  #: units kept
    prefix: str  #: of its files
    report_html: str = ""  #: key of its page
    is_chosen: bool = False  #: what ``fetch`` gives without a name
    is_outdated: bool = False  #: the run was sorted again since

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}
