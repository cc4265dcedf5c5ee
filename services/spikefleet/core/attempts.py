"""What an attempt is given and what it leaves behind: the run folder's contract, as JSON.

Parent, child, launcher and controller agree on these types and on the file names in ``RunFolder``;
nothing else passes between them. Only plain values here: the runner's parent imports this module
and must stay free of torch and SpikeInterface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId, RunId

# What a sort keeps on request, as it is called in the result and after a fetch.
KEPT_RECORDING = "recording"
SORTER_OUTPUT = "sorter_output"


class Stage(StrEnum):
    """The steps of a run, in order."""

    PREFLIGHT = "preflight"
    SORT = "sort"
    CURATE = "curate"
    REPORT = "report"


STAGES: tuple[Stage, ...] = tuple(Stage)


class AttemptState(StrEnum):
    """Where an attempt stands. INTENDED is written before anything is launched."""

    INTENDED = "intended"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WaitsFor(StrEnum):
    """What a started sort waits for before it can run; a label of series, so the words are few."""

    QUEUE = "queue"  # its turn in the cluster's queue
    QUOTA = "quota"  # room in the namespace's quota
    ADMISSION = "admission"  # the cluster's leave to make its pod
    NODE = "node"  # a node with room for it
    IMAGE = "image"  # its image
    CONTAINER = "container"  # a Secret, a ConfigMap: whatever its container is made with
    VOLUME = "volume"  # its volumes
    POD = "pod"  # nothing in particular: the pod is being made


ATTEMPT_MOVES: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.INTENDED: frozenset(
        {
            AttemptState.RUNNING,
            AttemptState.SUCCEEDED,
            AttemptState.FAILED,
            AttemptState.CANCELLED,
        }
    ),
    AttemptState.RUNNING: frozenset(
        {AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELLED}
    ),
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
}


@dataclass(frozen=True)
class InputFile:
    """One file of the recording: where it is now and what it must be.

    ``path`` is relative to the recording; ``source`` is an artifact key or an absolute path.
    ``stamp`` is how a file in place looked when it was digested; empty is not known.
    """

    path: str
    source: str
    size_bytes: int
    sha256: str = ""
    in_place: bool = False
    stamp: str = ""


@dataclass(frozen=True)
class InputPart:
    """One recording of several that are sorted as one: its name, and what a reader opens.

    ``path`` is relative to the staged inputs.
    """

    name: str
    path: str


@dataclass(frozen=True)
class AttemptSpec:
    """Everything one sort attempt needs, resolved. Written once as ``spec.json``.

    Strings and numbers only, so that the parent reads it without the science stack.
    """

    run_id: RunId  #: the run it belongs to
    attempt_id: AttemptId  #: this attempt, wherever it is spoken of
    name: str  #: its deterministic name, that of its folder too
    number: int  #: which try of the sort it is, from 1
    backend: str  #: the sorter's name in the catalogue
    recording: str  #: what a reader opens of the staged files; "" with ``parts``
    stream: str  #: the well or probe; "" is the only one
    inputs: tuple[InputFile, ...]  #: files to stage, with size and digest
    config: Mapping[str, Any]  #: the resolved configuration, nested groups
    artifacts_url: str  #: the store the result goes to
    artifacts_prefix: str  #: where in it; this attempt alone writes there
    report_address: str = ""  #: host:port that hears progress; "" is nobody
    metrics_port: int = 0  #: where /metrics is served; 0 is any free port
    memory_limit_bytes: int = 0  #: what it may take; 0 is not limited
    #: size limit of the scratch volume that its file system does not show; 0 is none
    scratch_limit_bytes: int = 0
    deadline_s: float = 0.0  #: longest wall time; 0 is none
    gpu: bool = False  #: whether it has a GPU slot
    cpus: int = 1  #: CPU slots, for worker processes
    #: the recording's length; 0 is unknown. Longer ones may be silent longer
    duration_s: float = 0.0
    #: recordings to join, in order; empty for one, which ``recording`` names
    parts: tuple[InputPart, ...] = ()
    #: where attempts of this machine share prepared copies; "" is its own
    prepared_folder: str = ""
    #: what preflight knows: ``stream``, ``estimate``, ``measurements`` (lists by their length)
    preflight: Mapping[str, Any] = field(default_factory=dict)
    format: str = ""  #: reader chosen at registration; "" recognises the files again
    reader: str = ""  #: versions of that reader's packages
    #: nodes of a cluster that it stays away from, where there are others
    exclude_nodes: tuple[str, ...] = ()
    gpu_class: str = ""  #: size of the GPU it asks a cluster for; "" is the smallest
    version: int = 1  #: of this contract

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AttemptSpec:
        """Read what ``to_json`` wrote. Raises ValueError on another version of the contract."""
        if document.get("version") != 1:
            raise ValueError(f"spec version {document.get('version')!r} is not understood")
        values = dict(document)
        values["inputs"] = tuple(InputFile(**entry) for entry in values["inputs"])
        values["parts"] = tuple(InputPart(**entry) for entry in values.get("parts", ()))
        values["exclude_nodes"] = tuple(values.get("exclude_nodes", ()))
        return cls(**values)


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended. Written once as ``outcome.json``; the short form goes to the pod."""

    attempt_id: AttemptId  #: the attempt
    exit_code: int  #: 0, or the row of the failure table
    failure: Failure | None = None  #: why it failed; None: it did not
    n_units: int | None = None  #: units found
    n_spikes: int | None = None  #: spikes of all units
    duration_s: float | None = None  #: length of what was sorted
    artifacts: Mapping[str, str] = field(default_factory=dict)  #: artifact prefix by name
    #: largest (of free disk smallest) values the guards saw, by ``guard.signal``
    peaks: Mapping[str, float] = field(default_factory=dict)
    #: what the guards warned and tripped at, by ``guard.signal``
    thresholds: Mapping[str, float] = field(default_factory=dict)
    #: seconds by step, the child's and the parent's
    timings_s: Mapping[str, float] = field(default_factory=dict)
    #: of the libraries that decide the result
    versions: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0  #: from the parent's start
    #: the machine's own checks before the sort: ``findings``, ``facts``; empty: not looked at
    node: Mapping[str, Any] = field(default_factory=dict)
    #: how the trial on a window went; empty: none was asked for
    canary: Mapping[str, Any] = field(default_factory=dict)
    #: guards that could not judge, or only less, and why
    blind_guards: Mapping[str, str] = field(default_factory=dict)
    version: int = 1  #: of this document

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        document = asdict(self)
        document["failure"] = self.failure.to_json() if self.failure else None
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AttemptOutcome:
        """Read what ``to_json`` wrote. Raises ValueError when it is not an outcome."""
        if document.get("version") != 1:
            raise ValueError(f"outcome version {document.get('version')!r} is not understood")
        values = dict(document)
        if values.get("failure") is not None:
            values["failure"] = Failure.from_json(values["failure"])
        return cls(**values)


@dataclass(frozen=True)
class RunFolder:
    """The files of one attempt's scratch folder. The folder is the interface between processes."""

    root: Path

    @property
    def spec(self) -> Path:
        """Written by the launcher before the parent starts."""
        return self.root / "spec.json"

    @property
    def started(self) -> Path:
        """Written by the parent at once: pid, process start time, metrics port."""
        return self.root / "started.json"

    @property
    def child_started(self) -> Path:
        """Written by the parent when the child runs: pid and process group."""
        return self.root / "child.json"

    @property
    def heartbeat(self) -> Path:
        """Rewritten by the parent every guard round: last readings and progress."""
        return self.root / "heartbeat.json"

    @property
    def watchdog_events(self) -> Path:
        """Appended by the parent, one JSON line for each warning, trip and signal sent."""
        return self.root / "watchdog_events.jsonl"

    @property
    def trip_snapshot(self) -> Path:
        """Written by the parent when it had to end the child: processes and readings before it."""
        return self.root / "trip_snapshot.json"

    @property
    def disk_report(self) -> Path:
        """Written by the parent when the scratch disk ran out: what filled it."""
        return self.root / "disk_exhaustion_report.json"

    @property
    def inputs(self) -> Path:
        """The staged recording."""
        return self.root / "input"

    @property
    def sorter(self) -> Path:
        """The sorter's own working folder; its log lives here."""
        return self.root / "sorter"

    @property
    def result(self) -> Path:
        """What the child leaves for upload: ``sorting/``, ``analyzer/``, ``result.json``."""
        return self.root / "result"

    @property
    def timeline(self) -> Path:
        """Written by the child with the result: from sorted samples to original ones."""
        return self.result / "timeline.json"

    @property
    def canary(self) -> Path:
        """The run folder of the trial before the sort; only its words outlive it."""
        return self.root / "canary"

    @property
    def child_result(self) -> Path:
        """Written by the child last when it succeeded."""
        return self.result / "result.json"

    @property
    def child_failure(self) -> Path:
        """Written by the child when an exception ended it: type, frames, message, step."""
        return self.child_own / "child_failure.json"

    @property
    def child_own(self) -> Path:
        """Where the child may write beside result and sorter folder; the rest is the parent's."""
        return self.root / "child"

    @property
    def child_scratch(self) -> Path:
        """The child's temporary files and its home folder."""
        return self.child_own / "scratch"

    @property
    def child_log(self) -> Path:
        """The child's stdout and stderr; the sorter's progress is parsed from it."""
        return self.root / "child.log"

    @property
    def outcome(self) -> Path:
        """Written by the parent last, on every exit path."""
        return self.root / "outcome.json"

    @property
    def termination_message(self) -> Path:
        """At most 3.5 KiB of JSON, where the container runtime would pick it up."""
        return self.root / "termination-message"
