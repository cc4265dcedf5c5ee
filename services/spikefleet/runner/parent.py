"""The runner's parent: one attempt from ``spec.json`` to ``outcome.json`` and an exit code.

It stages the recording in, starts the child that sorts, watches it, uploads what it left and always
has the last word: every way an attempt can end is written down before the process exits. It loads
neither the sorter nor the science stack, because it must outlive them; it retries nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, RunFolder
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.files import read_json, write_json
from spikefleet.core.policy.changes import apply_changes
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.infra import telemetry
from spikefleet.infra.gpus import make_gpu_reader
from spikefleet.infra.launchers import processes
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.audit import AuditTrail
from spikefleet.runner.canary.memory import CanaryMemory, TrialMachine, canary_key
from spikefleet.runner.canary.trial import STEP as CANARY
from spikefleet.runner.canary.trial import CanaryState, run_canary
from spikefleet.runner.evidence import KernelKills, judge, read_result
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.guards.make import CgroupPlaces, Watched, make_guards, make_memory_reader
from spikefleet.runner.interruption import STOP_REQUESTED, Interruption
from spikefleet.runner.lease import RunLease
from spikefleet.runner.node_checks.facts import Given
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer, probe_cuda
from spikefleet.runner.node_checks.node_preflight import STEP as NODE_PREFLIGHT
from spikefleet.runner.node_checks.node_preflight import run_node_preflight
from spikefleet.runner.outcome import exit_code_of, write_outcome
from spikefleet.runner.progress import ProgressParser
from spikefleet.runner.reach import child_environment, make_room
from spikefleet.runner.reporting import (
    AttemptProgress,
    CanaryReporter,
    ProgressSink,
    Reporter,
    SilentSink,
)
from spikefleet.runner.stage_in import require_unchanged, stage_in
from spikefleet.runner.supervise import ChildEnd, Supervisor, Timing
from spikefleet.runner.upload import (
    failure_prefix,
    result_artifacts,
    upload_failure,
    upload_result,
)
from spikefleet.runner.warm_child import WarmChild

_log = logging.getLogger(__name__)


def own_processes() -> list[int]:
    """Pids of everything the attempt started, whose GPU memory is ours."""
    return processes.descendants(os.getpid())


def child_command(root: Path) -> list[str]:
    """The command line of the child that sorts."""
    return [sys.executable, "-P", "-m", "spikefleet.runner.child", str(root)]


@dataclass(frozen=True)
class ParentOptions:
    """What deployments and tests may choose: the child's command, patience, cgroup places.

    ``metrics_address`` is the interface /metrics listens on; ``upload_pauses_s`` are the waits
    before a refused upload is tried again. ``gpu_ids`` are the devices CUDA shows us, ``nvml``
    and ``probe`` stand for the driver's library and the computation on the GPU in tests;
    ``image_digest`` is that of the container's image, "" where it is not known. ``environment`` is
    what the child sees of ours beside its own folders; None: everything, for tests. ``warm`` is
    the process that becomes the first child, where the launcher left one.
    """

    command: Callable[[Path], list[str]] = child_command
    timing: Timing = field(default_factory=Timing)
    cgroups: CgroupPlaces = field(default_factory=CgroupPlaces)
    metrics_address: str = "127.0.0.1"
    upload_pauses_s: tuple[float, ...] = (1.0, 5.0)
    gpu_ids: tuple[str, ...] = ()
    image_digest: str = ""
    hdf5_plugin_path: str = ""
    environment: Mapping[str, str] | None = None
    warm: WarmChild = field(default_factory=WarmChild)
    nvml: Any = None
    probe: Callable[[], ProbeAnswer] = probe_cuda

    @property
    def given(self) -> Given:
        """What the deployment knows of this place."""
        return Given(self.gpu_ids, self.image_digest, self.hdf5_plugin_path, self.nvml, self.probe)


def run_attempt(
    root: Path,
    artifacts: ArtifactStore,
    *,
    sink: ProgressSink | None = None,
    options: ParentOptions | None = None,
) -> int:
    """Run the attempt in the folder ``root`` and return its exit code, a row of the failure table.

    An attempt that has its outcome is not run again. Must be called from the main thread.
    """
    folder = RunFolder(root)
    ended = read_json(folder.outcome)
    if ended is not None:
        return AttemptOutcome.from_json(ended).exit_code
    first = processes.ProcessIdentity.from_json(read_json(folder.started))
    if first != processes.identify_self() and processes.is_alive(first):
        # The folder is the first process's; not a file of it may change.
        _log.error("attempt.runs_already", extra={"folder": str(root), "pid": first and first.pid})
        return exit_code_of(Failure(FailureCode.CONCURRENT_SORT, "", rule_id="parent.folder"))
    attempt = _Attempt(folder, artifacts, sink or SilentSink(), options or ParentOptions())
    with attempt.interruption.listening(), _LastWord(attempt):
        attempt.outcome = attempt.run()
    return attempt.outcome.exit_code


class _Attempt:
    """One attempt on its way; ``outcome`` is the best that is known so far."""

    def __init__(
        self,
        folder: RunFolder,
        artifacts: ArtifactStore,
        sink: ProgressSink,
        options: ParentOptions,
    ) -> None:
        self.folder, self.artifacts, self.sink, self.options = folder, artifacts, sink, options
        self.interruption = Interruption()
        self.spec: AttemptSpec | None = None
        self.lease: RunLease | None = None
        self.stage = "start"
        self.peaks: dict[str, float] = {}
        self.thresholds: dict[str, float] = {}
        self.timings_s: dict[str, float] = {}
        self.node: dict[str, Any] = {}
        self.canary: dict[str, Any] = {}
        self.blind_guards: dict[str, str] = {}
        self.machine = TrialMachine()
        self.started_s = time.monotonic()
        self.outcome = self.failed(
            Failure(
                FailureCode.UNCLASSIFIED,
                "The runner ended before it knew how the attempt went.",
                rule_id="parent_error",
            )
        )

    def run(self) -> AttemptOutcome:
        """Go through the stages. Raises classified errors; ``_LastWord`` writes them down."""
        spec = self.spec = AttemptSpec.from_json(read_json(self.folder.spec) or {})
        metrics = Metrics()
        reporter = Reporter(spec, self.folder, metrics, self.sink)
        port = self._serve(metrics, spec.metrics_port)
        try:
            started = {**processes.identify_self().to_json(), "metrics_port": port}
            write_json(self.folder.started, {**started, "attempt_id": spec.attempt_id})
            self.lease = RunLease(spec, self.artifacts, self.sink)
            self.lease.hold()
            reporter.tell(AttemptProgress(NODE_PREFLIGHT))
            self._enter(NODE_PREFLIGHT)
            failure = self._look_at_node(spec, metrics)
            if failure is not None:
                return self.failed(failure)
            self._enter("stage_in")
            reporter.tell(AttemptProgress())
            with self.interruption.breaking_in():
                stamps = stage_in(spec, self.folder, self.artifacts)
            make_room(spec)
            failure = self._try_first(spec, metrics)
            if failure is not None:
                return self.failed(failure)
            spec = self.spec  # the trial may have taken a step down
            self._enter("sort")
            self.lease.hold()
            failure = self._sort(spec, self.folder, reporter)
            if failure is not None:
                self._doubt_canary(spec, failure)
                return self.failed(failure)
            with self.interruption.breaking_in():
                require_unchanged(spec, self.folder, stamps)
            self._enter("upload")
            reporter.tell(AttemptProgress("upload", 1.0, elapsed_s=self.elapsed_s))
            self.lease.hold()
            return self._upload(spec)
        finally:
            metrics.close()
            self.options.warm.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the parent started."""
        return round(time.monotonic() - self.started_s, 3)

    def failed(self, failure: Failure) -> AttemptOutcome:
        """The outcome of a failure, with everything measured so far."""
        staged = failure if failure.stage else replace(failure, stage=self.stage)
        return AttemptOutcome(
            attempt_id=self.spec.attempt_id if self.spec else self.folder.root.name,
            exit_code=exit_code_of(staged),
            failure=staged,
            peaks=self.peaks,
            thresholds=self.thresholds,
            timings_s=self.timings_s,
            wall_s=self.elapsed_s,
            node=self.node,
            canary=self.canary,
            blind_guards=self.blind_guards,
        )

    def _serve(self, metrics: Metrics, port: int) -> int:
        """Serve /metrics; a taken port costs the numbers, not the sort (then 0)."""
        try:
            return metrics.serve(port, address=self.options.metrics_address)
        except OSError as error:
            _log.warning("metrics.not_served", extra={"port": port, "error": str(error)})
            return 0

    def _enter(self, stage: str) -> None:
        """Begin a stage; the time of the one before is noted."""
        self.timings_s[f"parent.{self.stage}"] = round(
            self.elapsed_s - sum(self.timings_s.values()), 3
        )
        self.stage = stage

    def _look_at_node(self, spec: AttemptSpec, metrics: Metrics) -> Failure | None:
        """Look at this machine; return why nothing can be sorted here."""
        memory = make_memory_reader(spec, self.options.cgroups)
        report = run_node_preflight(spec, self.folder.root, self.options.given, memory)
        self.node, self.machine = report.to_json(), report.machine
        own = {"run_id": spec.run_id, "backend": spec.backend}
        for found in report.findings:
            labels = {**own, "level": str(found.level), "finding": found.code}
            metrics.set(telemetry.NODE_FINDING, 1, **labels)
        return report.failure

    def _try_first(self, spec: AttemptSpec, metrics: Metrics) -> Failure | None:
        """Try the sorter on a window where that is asked for; return why the sort cannot begin."""
        if execution_of(spec.config).canary_first_n_s <= 0:
            return None
        self._enter(CANARY)
        reporter = CanaryReporter(spec, self.folder, metrics, self.sink)
        report = run_canary(
            spec,
            self.folder,
            lambda: self._canary_memory(spec),
            lambda order, own: self._sort(order, own, reporter),
        )
        self.canary = report.to_json()
        if report.changes:
            self.spec = replace(spec, config=apply_changes(spec.config, report.changes))
            write_json(self.folder.spec, self.spec.to_json())
        own = {"run_id": spec.run_id, "backend": spec.backend}
        metrics.set(telemetry.ATTEMPT_CANARY, 1, **own, state=str(report.state))
        return report.failure if report.blocks else None

    def _canary_memory(self, spec: AttemptSpec) -> CanaryMemory:
        return CanaryMemory(self.artifacts, canary_key(spec, self.machine))

    def _doubt_canary(self, spec: AttemptSpec, failure: Failure) -> None:
        """Forget a remembered trial that the environment has proved wrong."""
        was_remembered = self.canary.get("state") == CanaryState.REMEMBERED
        if was_remembered and failure.category is FailureCategory.ENVIRONMENT:
            self._canary_memory(spec).forget(spec.attempt_id)

    def _sort(self, spec: AttemptSpec, folder: RunFolder, reporter: Reporter) -> Failure | None:
        """Run one child in ``folder``, the sort's or the trial's; return why it failed."""
        memory = make_memory_reader(spec, self.options.cgroups)
        oom_kills_before = memory.oom_kills()
        end = self._supervise(spec, folder, reporter, memory)
        if end.interrupted == STOP_REQUESTED and self.lease is not None:
            self.lease.hold()  # a lost lease is another matter than a run given up
        new_oom_kills = _grown(oom_kills_before, memory.oom_kills())
        kills = KernelKills(new_oom_kills, is_shared=not memory.is_ours_alone(()))
        return judge(spec, folder, end, kills)

    def _supervise(
        self, spec: AttemptSpec, folder: RunFolder, reporter: Reporter, memory: MemoryReader
    ) -> ChildEnd:
        info = backend_of(spec.backend)
        audit = AuditTrail(self.folder.watchdog_events)
        watched = Watched(
            folder=folder,
            memory=memory,
            gpu=make_gpu_reader(self.options.gpu_ids, own_processes, self.options.nvml),
            step=lambda: reporter.step,
            log_names=info.log_names,
        )
        guards = GuardLoop(make_guards(spec, watched), audit.keep)
        self.thresholds = dict(guards.thresholds)
        timing = self.options.timing
        if spec.deadline_s > 0:
            left_s = max(0.001, spec.deadline_s - self.elapsed_s)
            timing = replace(timing, deadline_s=left_s)
        supervisor = Supervisor(folder, guards, reporter, ProgressParser(info), timing, audit)
        try:
            command = self.options.command(folder.root)
            environment = child_environment(folder, self.options.environment)
            return supervisor.run(command, self.interruption, environment, self.options.warm)
        finally:
            self.peaks, self.blind_guards = dict(guards.peaks), dict(guards.blind)

    def _upload(self, spec: AttemptSpec) -> AttemptOutcome:
        result = read_result(self.folder)
        outcome = AttemptOutcome(
            attempt_id=spec.attempt_id,
            exit_code=0,
            n_units=result.n_units,
            n_spikes=result.n_spikes,
            duration_s=result.duration_s,
            artifacts=result_artifacts(spec),
            peaks=self.peaks,
            thresholds=self.thresholds,
            timings_s={**self.timings_s, **result.timings_s},
            versions=result.versions,
            wall_s=self.elapsed_s,
            node=self.node,
            canary=self.canary,
            blind_guards=self.blind_guards,
        )
        with self.interruption.breaking_in():
            upload_result(
                spec, self.folder, self.artifacts, outcome, pauses_s=self.options.upload_pauses_s
            )
        return replace(outcome, wall_s=self.elapsed_s)


class _LastWord(AbstractContextManager["_LastWord"]):
    """Writes the outcome when the attempt is over, however it ended.

    An error of our own must not take the outcome with it, so it becomes one (``parent_error``)
    and goes no further. What is no error (SystemExit, KeyboardInterrupt) is written down too, but
    travels on.
    """

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Settle the outcome, store it, tell it."""
        attempt = self._attempt
        if error is not None:
            attempt.outcome = attempt.failed(_failure_of(error))
        outcome, spec = attempt.outcome, attempt.spec
        owns_prefix = attempt.lease is not None and attempt.lease.owns_prefix
        if spec is not None and outcome.failure is not None and owns_prefix:
            stored = replace(outcome, artifacts={"failure": failure_prefix(spec)})
            if upload_failure(spec, attempt.folder, attempt.artifacts, stored):
                attempt.outcome = outcome = stored
        write_outcome(attempt.folder, outcome)
        _log.info(
            "attempt.ended",
            extra={"attempt_id": outcome.attempt_id, "exit_code": outcome.exit_code},
        )
        if spec is not None:
            attempt.sink.report_end(spec)
        return error is None or isinstance(error, Exception)


def _failure_of(error: BaseException) -> Failure:
    if isinstance(error, SpikeSortingClassifiedError):
        return Failure.from_error(error, rule_id="parent.raised")
    lines = traceback.format_exception(error)
    _log.error("parent.error", exc_info=error)
    return Failure(
        FailureCode.UNCLASSIFIED,
        f"The runner itself failed: {type(error).__name__}: {error}",
        rule_id="parent_error",
        evidence={"exception_type": type(error).__name__, "trace_tail": lines[-3:]},
    )


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)
