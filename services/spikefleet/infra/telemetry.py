"""Every series we export, as a typed constant with the question it answers.

docs/telemetry.md is held to this file by a test; ``infra.metrics`` turns the constants into live
Prometheus series. Prefix ``spikefleet_``, base units, ``_total`` on counters, and no ids on
histograms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SeriesKind(StrEnum):
    """Prometheus type of a series."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True)
class Series:
    """One exported series. ``question`` is what a person asks when looking at it."""

    name: str
    kind: SeriesKind
    question: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_C, _G, _H = SeriesKind.COUNTER, SeriesKind.GAUGE, SeriesKind.HISTOGRAM
_MINUTES = (5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
_RPC = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)

BUILD_INFO = Series(
    "spikefleet_build_info", _G, "Which version answers here?", ("version", "python")
)

# Served by the controller from its store: outcomes survive the pod.
RUNS = Series("spikefleet_runs", _G, "How many runs stand in each state now?", ("state",))
RUNS_ENDED = Series(
    "spikefleet_runs_ended_total", _C, "How do runs end, by sorter?", ("backend", "status")
)
ATTEMPTS_ENDED = Series(
    "spikefleet_attempts_ended_total",
    _C,
    "Which failures end attempts, and what was decided?",
    ("backend", "stage", "code", "decision"),
)
CANARIES_ENDED = Series(
    "spikefleet_canaries_ended_total",
    _C,
    "How do trials before the sort go, by sorter?",
    ("backend", "state"),
)
NODE_FINDINGS = Series(
    "spikefleet_node_findings_total",
    _C,
    "What do the machines that sort find wrong with themselves?",
    ("backend", "level", "finding"),
)
ATTEMPTS_LIVE = Series(
    "spikefleet_attempts_live",
    _G,
    "How many attempts run, on what, and what do the others wait for?",
    ("backend", "stage", "device", "phase"),
)
SORTED_SECONDS = Series(
    "spikefleet_sorted_recording_seconds_total",
    _C,
    "How much recorded time is sorted?",
    ("backend",),
)
RUN_DURATION = Series(
    "spikefleet_run_duration_seconds",
    _H,
    "How long from submission to result?",
    ("backend", "status"),
    _MINUTES,
)
STAGE_DURATION = Series(
    "spikefleet_stage_duration_seconds",
    _H,
    "Which stage takes the time?",
    ("backend", "stage"),
    _MINUTES,
)
QUEUE_WAIT = Series(
    "spikefleet_queue_wait_seconds",
    _H,
    "How long do runs wait until their sort runs?",
    ("backend",),
    _MINUTES,
)
PROJECTION_RATIO = Series(
    "spikefleet_projection_ratio",
    _H,
    "How far off are projections (projected over used)?",
    ("backend", "resource"),
    (0.25, 0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0),
)
HOLDS = Series("spikefleet_lanes_held", _G, "Is a lane waiting for an operator?", ("lane",))
RECONCILE_AGE = Series(
    "spikefleet_reconcile_last_success_timestamp_seconds",
    _G,
    "When did the controller last look at everything?",
)
RECONCILE_ERRORS = Series(
    "spikefleet_reconcile_errors_total", _C, "Does the controller fail by itself?"
)

# Served by ingest.
INGESTED_BYTES = Series(
    "spikefleet_ingested_bytes_total", _C, "How much data came in, and how?", ("path",)
)
INGEST_PATHS = ("in_place", "upload", "direct")  #: every ``path`` that bytes take
UPLOADS_OPEN = Series("spikefleet_uploads_open", _G, "Are uploads left unfinished?")

# Served by every gRPC server.
RPC_STARTED = Series("spikefleet_rpc_started_total", _C, "What is called?", ("service", "method"))
RPC_HANDLED = Series(
    "spikefleet_rpc_handled_total", _C, "What do calls answer?", ("service", "method", "code")
)
RPC_DURATION = Series(
    "spikefleet_rpc_duration_seconds", _H, "Are calls slow?", ("service", "method"), _RPC
)

# Served by the runner's parent while an attempt runs; ids are allowed on these live gauges.
_ATTEMPT = ("run_id", "backend")
ATTEMPT_PROGRESS = Series(
    "spikefleet_attempt_progress_ratio", _G, "How far is this sort?", _ATTEMPT
)
ATTEMPT_STEP = Series("spikefleet_attempt_step_info", _G, "What is it doing?", (*_ATTEMPT, "step"))
ATTEMPT_SPIKES = Series(
    "spikefleet_attempt_spikes", _G, "How many spikes has it found so far?", _ATTEMPT
)
ATTEMPT_ELAPSED = Series(
    "spikefleet_attempt_elapsed_seconds", _G, "How long has it been at it?", _ATTEMPT
)
ATTEMPT_CANARY = Series(
    "spikefleet_attempt_canary_info",
    _G,
    "How did the trial on a window go?",
    (*_ATTEMPT, "state"),
)
NODE_FINDING = Series(
    "spikefleet_attempt_node_finding_info",
    _G,
    "What did the machine's own checks notice before the sort?",
    (*_ATTEMPT, "level", "finding"),
)
GUARD_VALUE = Series(
    "spikefleet_guard_value",
    _G,
    "What does each guard read, in base units?",
    (*_ATTEMPT, "guard", "signal"),
)
GUARD_READABLE = Series(
    "spikefleet_guard_readable", _G, "Can each guard see its signal?", (*_ATTEMPT, "guard")
)
GUARD_ADVISORY = Series(
    "spikefleet_guard_advisory",
    _G,
    "Which guards can only advise now, and why?",
    (*_ATTEMPT, "guard", "reason"),
)
GUARD_THRESHOLD = Series(
    "spikefleet_guard_threshold",
    _G,
    "At what does each guard warn and stop the sort?",
    (*_ATTEMPT, "guard", "threshold"),
)
GUARD_WARNINGS = Series(
    "spikefleet_guard_warnings_total", _C, "Which guards warn?", ("backend", "guard")
)
GUARD_TRIPS = Series(
    "spikefleet_guard_trips_total", _C, "Which guards stop sorts?", ("backend", "guard")
)

CATALOGUE: tuple[Series, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Series)
)
