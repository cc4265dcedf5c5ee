"""What the curation room is asked and answers, as plain data that a worker process can receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikefleet.core.failures.errors import Failure


@dataclass(frozen=True)
class CurationTask:
    """What to curate: artifact prefixes and the resolved configuration."""

    run_id: str
    sort_prefix: str
    output_prefix: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class CurationAnswer:
    """Units before and after, and the prefix written; or the failure."""

    unit_count_sorted: int = 0
    unit_count_curated: int = 0
    prefix: str = ""
    failure: Failure | None = None
