"""The sections of ``recording_report.json`` with their types: what page and Markdown may rely on.

A section that the run left nothing for is empty or None. Documents that others wrote (evidence,
readings, versions) stay as they came.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # Pydantic reads it, for the published schema


class KnownFields(TypedDict, total=False):
    """The fields of a recording's result as earlier pipelines named them."""

    rec_name: str
    rec_path: str
    results_folder: str
    status: str
    wall_time_s: float | None
    n_curated_units: int | None
    error_class: str | None
    error_message: str | None
    retries_used: int
    log_path: str | None
    peak_host_ram_pct: float | None
    peak_gpu_used_pct: float | None
    min_disk_free_gb: float | None


class RunSection(TypedDict, total=False):
    """Whose run it was and where it stood; times are ISO 8601."""

    run_id: str
    batch_id: str
    recording_id: str
    recording_name: str
    stream: str
    backend: str
    state: str
    stage: str
    status: str
    submitter: str
    config_digest: str
    sort_digest: str
    created_at: str
    updated_at: str


class StreamSection(TypedDict, total=False):
    """What was sorted, in numbers."""

    stream: str
    channel_count: int
    sampling_rate_hz: float
    duration_s: float
    dtype: str
    problem: str


class FileTimes(TypedDict):
    """One recording of those that were sorted as one."""

    name: str
    start_s: float
    duration_s: float
    sorted_s: float


class TimesSection(TypedDict, total=False):
    """Which part was sorted; times count from the first file's start."""

    recorded_s: float
    sorted_s: float
    is_whole: bool
    windows_s: list[list[float]]
    files: list[FileTimes]


class AttemptSection(TypedDict):
    """One attempt of a stage and what it measured."""

    attempt_id: str
    stage: str
    number: int
    state: str
    params: dict[str, Any]
    created_at: str | None
    ended_at: str | None
    wall_s: float | None
    failure: dict[str, Any] | None
    timings_s: dict[str, float]
    peaks: dict[str, float]
    versions: dict[str, str]
    node: dict[str, Any]
    canary: dict[str, Any]
    blind_guards: dict[str, str]


class EventSection(TypedDict):
    """One line of the run's history."""

    seq: int
    kind: str
    created_at: str
    from_state: str
    to_state: str
    body: dict[str, Any]


class CurationStep(TypedDict):
    """One criterion and how many units it left."""

    name: str
    stage: str
    metric: str
    bound: float
    at_least: bool
    n_failed: int
    n_left: int


class SuggestedMerge(TypedDict):
    """Units that are probably one neuron, and what says so; None: not looked at."""

    units: list[str]
    method: str
    similarity: float | None
    violations_before: float | None
    violations_after: float | None


class CurationSection(TypedDict, total=False):
    """Thresholds and how many units each of them left."""

    parameters: dict[str, Any]
    n_sorted: int
    n_curated: int
    steps: list[CurationStep]
    suggestions: list[SuggestedMerge]
    by_hand: str  #: the tool in which a person curated; "" for thresholds alone
    n_merges: int
    n_splits: int
    name: str  #: of a curation beside the run's own; "" for that


class Spread(TypedDict):
    """The distribution of one metric over the curated units."""

    n: int
    mean: float
    median: float
    std: float
    min: float
    max: float


class VerdictSection(TypedDict):
    """What a person reads first; ``next_step`` is "" when there is nothing to do."""

    label: str
    tone: str
    sentence: str
    next_step: str


class ReportRecord(KnownFields, total=False):
    """The whole record; ``units`` has one row per sorted unit with its metrics."""

    version: int
    run: RunSection
    failure: dict[str, Any] | None
    recording: dict[str, Any]
    stream: StreamSection
    timeline: TimesSection
    preflight: dict[str, Any]
    findings: list[dict[str, Any]]
    canary: dict[str, Any]
    attempts: list[AttemptSection]
    events: list[EventSection]
    config: dict[str, Any]
    config_diff: dict[str, Any]
    changed_params: dict[str, Any]
    sorter_params: list[dict[str, Any]]  #: each name, value, chosen_by
    timings_s: dict[str, float]
    versions: dict[str, str]
    peaks: dict[str, float]
    projection: dict[str, dict[str, float]]
    curation: CurationSection
    units: list[dict[str, Any]]
    quality: dict[str, Spread]
    notes: list[str]
    files: list[str]  #: pictures and pages beside the report, relative to it
    verdict: VerdictSection
