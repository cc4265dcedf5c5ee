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

    ``config`` is the fully resolved sorting configuration (nested groups); ``limits`` and the
    addresses are strings or numbers so that the parent can read them without the science stack.
    ``duration_s`` is the recording's length (0 = unknown): longer recordings may be silent longer.
    ``parts`` are the recordings to join, in order; empty for one, which ``recording`` names.
    ``prepared_folder`` is where prepared copies are shared between attempts on this machine; empty:
    the attempt keeps its own.
    ``format`` is the reader that was chosen when the recording was registered and ``reader`` the
    versions of its packages; "" recognises the files anew.
    ``scratch_limit_bytes`` is the size limit of the scratch volume that its file system does not
    show (0 = none). ``preflight`` is what the service's preflight knows of the stream: ``stream``,
    ``estimate`` and ``measurements``, of lists of channels their length.
    """

    run_id: str
    attempt_id: str
    name: str
    number: int
    backend: str
    recording: str
    stream: str
    inputs: tuple[InputFile, ...]
    config: Mapping[str, Any]
    artifacts_url: str
    artifacts_prefix: str
    report_address: str = ""
    metrics_port: int = 0
    memory_limit_bytes: int = 0
    scratch_limit_bytes: int = 0
    deadline_s: float = 0.0
    gpu: bool = False
    cpus: int = 1
    duration_s: float = 0.0
    parts: tuple[InputPart, ...] = ()
    prepared_folder: str = ""
    preflight: Mapping[str, Any] = field(default_factory=dict)
    format: str = ""
    reader: str = ""
    version: int = 1

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
        return cls(**values)


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended. Written once as ``outcome.json``; the short form goes to the pod.

    ``peaks`` are the largest (or for free disk the smallest) values seen by the guards,
    ``thresholds`` what the guards warned and tripped at, both keyed ``guard.signal``;
    ``timings_s`` are seconds per child step; ``artifacts`` maps a name to an artifact prefix.
    ``node`` is what the machine's own checks found before the sort (``findings``, ``facts``),
    ``canary`` how the trial on a window went; both empty where nothing was looked at.
    ``blind_guards`` maps a guard that could not judge, or only less, for some time to the reason.
    """

    attempt_id: str
    exit_code: int
    failure: Failure | None = None
    n_units: int | None = None
    n_spikes: int | None = None
    duration_s: float | None = None
    artifacts: Mapping[str, str] = field(default_factory=dict)
    peaks: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    node: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] = field(default_factory=dict)
    blind_guards: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

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
