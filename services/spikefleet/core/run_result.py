"""What a run has produced so far: the document in its row, on the wire and in ``--output json``.

Every entry is optional. Documents of earlier versions are read as they are, and entries that this
version does not know stay where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict, cast


class PreflightRecord(TypedDict, total=False):
    """What preflight found, as ``Examination.to_json`` tells it without its failure."""

    findings: list[dict[str, Any]]
    stream: dict[str, Any] | None
    estimate: dict[str, Any] | None
    measurements: dict[str, Any]
    input_bytes: int  #: of the recording's files, which a pod copies to its scratch volume


class Ending(TypedDict):
    """How a run will end once its report is made: ``RunState`` and ``RunStatus`` as words."""

    state: str
    status: str


class LastRetry(TypedDict):
    """How the retry ended that did not replace a finished result: "failed" or "cancelled"."""

    ended: str
    reason: str


class RunResult(TypedDict, total=False):
    """The entries, by the stage that leaves them; prefixes are keys in the artifact store."""

    preflight: PreflightRecord
    # The sort's. ``sort_reused_from`` is the run whose finished sort was taken over.
    sort_prefix: str
    sort_reused_from: str
    sort_wall_s: float
    n_units_sorted: int | None
    n_spikes: int | None
    duration_s: float | None
    versions: dict[str, str]
    timings_s: dict[str, float]
    peaks: dict[str, float]
    # Resource to {projected, used, ratio}.
    projection: dict[str, dict[str, float]]
    # Parameters that the next attempt changes, and whether its spikes may differ by that.
    params: dict[str, Any]
    result_affecting: bool
    curation_prefix: str
    n_units_curated: int
    report_prefix: str
    report_html: str
    ending: Ending
    # Settings that are not at their defaults, by their dotted names.
    changed_settings: Mapping[str, Any]
    # The run sorts by itself, whatever other runs have finished.
    fresh_sort: bool
    # Stage to the number of the last attempt that a person wrote off, or that an operator repaired.
    attempts_before: dict[str, int]
    released_after: dict[str, int]
    # The finished result beside the one that is being made.
    kept_result: RunResult
    last_retry: LastRetry


def entries(result: RunResult, names: Collection[str]) -> RunResult:
    """Return those of the named entries that are there."""
    return cast(RunResult, {name: value for name, value in result.items() if name in names})
