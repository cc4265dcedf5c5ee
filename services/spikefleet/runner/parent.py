"""The runner's parent: one attempt from ``spec.json`` to ``outcome.json`` and an exit code.

It stages the recording in, starts the child that sorts, watches it, uploads what it left and always
has the last word: every way an attempt can end is written down before the process exits. It loads
neither the sorter nor the science stack, because it must outlive them; it retries nothing.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, RunFolder
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.files import read_json, write_json
from spikefleet.core.ids import AttemptId
from spikefleet.core.policy.changes import apply_changes
from spikefleet.infra import telemetry
from spikefleet.infra.launchers import processes
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.runner.canary.memory import CanaryMemory, TrialMachine, canary_key
from spikefleet.runner.canary.trial import STEP as CANARY
from spikefleet.runner.canary.trial import CanaryReport, CanaryState, run_canary
from spikefleet.runner.evidence import read_result
from spikefleet.runner.guards.make import make_memory_reader
from spikefleet.runner.interruption import Interruption
from spikefleet.runner.known import Known
from spikefleet.runner.lease import RunLease
from spikefleet.runner.node_checks.node_preflight import STEP as NODE_PREFLIGHT
from spikefleet.runner.node_checks.node_preflight import NodeReport, run_node_preflight
from spikefleet.runner.outcome import exit_code_of, write_outcome
from spikefleet.runner.place import ParentOptions, Place
from spikefleet.runner.reach import make_room
from spikefleet.runner.reporting import (
    AttemptProgress,
    CanaryReporter,
    ProgressSink,
    Reporter,
    SilentSink,
)
from spikefleet.runner.sorting import prepare_sorting
from spikefleet.runner.stage_in import require_unchanged, stage_in
from spikefleet.runner.upload import (
    failure_prefix,
    result_artifacts,
    upload_failure,
    upload_result,
)

_log = logging.getLogger(__name__)
_ENDED_UNKNOWN = Failure(
    FailureCode.UNCLASSIFIED,
    "The runner ended before it knew how the attempt went.",
    rule_id="parent_error",
)


def run_attempt(
    root: Path,
    artifacts: ArtifactStore,
    *,
    sink: ProgressSink | None = None,
    options: ParentOptions | None = None,
    interruption: Interruption | None = None,
) -> int:
    """Run the attempt in the folder ``root`` and return its exit code, a row of the failure table.

    ``interruption`` is one that listens already. An attempt that has its outcome is not run again.
    Must be called from the main thread.
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
    place = Place(
        folder,
        artifacts,
        sink or SilentSink(),
        options or ParentOptions(),
        interruption or Interruption(),
    )
    ledger = _Ledger(place, Known(AttemptId(folder.root.name)))
    with place.interruption.listening(), _LastWord(ledger) as last_word:
        last_word.outcome = _carry_out(place, ledger)
    return last_word.outcome.exit_code


@dataclass
class _Ledger:
    """What the last word needs, as far as the attempt has come."""

    place: Place
    known: Known
    spec: AttemptSpec | None = None
    lease: RunLease | None = None

    def enter(self, stage: str) -> None:
        self.known = self.known.entering(stage)


def _carry_out(place: Place, ledger: _Ledger) -> AttemptOutcome:
    """Go through the steps. Raises classified errors; ``_LastWord`` writes them down."""
    spec = ledger.spec = AttemptSpec.from_json(read_json(place.folder.spec) or {})
    ledger.known = replace(ledger.known, attempt_id=spec.attempt_id)
    metrics = Metrics()
    reporter = Reporter(spec, place.folder, metrics, place.sink)
    port = _serve(metrics, spec.metrics_port, place.options.metrics_address)
    try:
        started = {**processes.identify_self().to_json(), "metrics_port": port}
        write_json(place.folder.started, {**started, "attempt_id": spec.attempt_id})
        lease = ledger.lease = RunLease(spec, place.artifacts, place.sink)
        lease.hold()
        reporter.tell(AttemptProgress(NODE_PREFLIGHT))
        ledger.enter(NODE_PREFLIGHT)
        node = _look_at_node(place, spec, metrics)
        ledger.known = replace(ledger.known, node=node.to_json())
        if node.failure is not None:
            return ledger.known.failed(node.failure)
        ledger.enter("stage_in")
        reporter.tell(AttemptProgress())
        with place.interruption.breaking_in():
            stamps = stage_in(spec, place.folder, place.artifacts)
        make_room(spec)
        if execution_of(spec.config).canary_first_n_s > 0:
            report = _try_first(ledger, spec, lease, metrics, node.machine)
            if report.failure is not None and report.blocks:
                return ledger.known.failed(report.failure)
            spec = ledger.spec = _stepped_down(place, spec, report)
        ledger.enter("sort")
        lease.hold()
        failure = _sort(ledger, spec, place.folder, reporter, lease)
        if failure is not None:
            _doubt_canary(ledger, spec, node.machine, failure)
            return ledger.known.failed(failure)
        with place.interruption.breaking_in():
            require_unchanged(spec, place.folder, stamps)
        ledger.enter("upload")
        reporter.tell(AttemptProgress("upload", 1.0, elapsed_s=ledger.known.elapsed_s))
        lease.hold()
        return _upload(place, spec, ledger.known)
    finally:
        metrics.close()
        place.options.warm.close()


def _serve(metrics: Metrics, port: int, address: str) -> int:
    """Serve /metrics; a taken port costs the numbers, not the sort (then 0)."""
    try:
        return metrics.serve(port, address=address)
    except OSError as error:
        _log.warning("metrics.not_served", extra={"port": port, "error": str(error)})
        return 0


def _look_at_node(place: Place, spec: AttemptSpec, metrics: Metrics) -> NodeReport:
    """Look at this machine; the report says why nothing can be sorted here."""
    memory = make_memory_reader(spec, place.options.cgroups)
    report = run_node_preflight(spec, place.folder.root, place.options.given, memory)
    own = {"run_id": spec.run_id, "backend": spec.backend}
    for found in report.findings:
        labels = {**own, "level": str(found.level), "finding": found.code}
        metrics.set(telemetry.NODE_FINDING, 1, **labels)
    return report


def _sort(
    ledger: _Ledger, spec: AttemptSpec, folder: RunFolder, reporter: Reporter, lease: RunLease
) -> Failure | None:
    """Run one child in ``folder``, the sort's or the trial's; return why it failed."""
    sorting = prepare_sorting(ledger.place, spec, folder, reporter, ledger.known.elapsed_s)
    ledger.known = replace(ledger.known, guards=sorting.guards)
    return sorting.run(lease)


def _try_first(
    ledger: _Ledger, spec: AttemptSpec, lease: RunLease, metrics: Metrics, machine: TrialMachine
) -> CanaryReport:
    """Try the sorter on a window; the report says whether the sort may begin, and how."""
    ledger.enter(CANARY)
    place = ledger.place
    reporter = CanaryReporter(spec, place.folder, metrics, place.sink)
    report = run_canary(
        spec,
        place.folder,
        lambda: _canary_memory(place, spec, machine),
        lambda order, own: _sort(ledger, order, own, reporter, lease),
    )
    ledger.known = replace(ledger.known, canary=report.to_json())
    own = {"run_id": spec.run_id, "backend": spec.backend}
    metrics.set(telemetry.ATTEMPT_CANARY, 1, **own, state=str(report.state))
    return report


def _stepped_down(place: Place, spec: AttemptSpec, report: CanaryReport) -> AttemptSpec:
    """The order with what the trial changed, which the child reads from the folder."""
    if not report.changes:
        return spec
    changed = replace(spec, config=apply_changes(spec.config, report.changes))
    write_json(place.folder.spec, changed.to_json())
    return changed


def _canary_memory(place: Place, spec: AttemptSpec, machine: TrialMachine) -> CanaryMemory:
    return CanaryMemory(place.artifacts, canary_key(spec, machine))


def _doubt_canary(
    ledger: _Ledger, spec: AttemptSpec, machine: TrialMachine, failure: Failure
) -> None:
    """Forget a remembered trial that the environment has proved wrong."""
    was_remembered = ledger.known.canary.get("state") == CanaryState.REMEMBERED
    if was_remembered and failure.category is FailureCategory.ENVIRONMENT:
        _canary_memory(ledger.place, spec, machine).forget(spec.attempt_id)


def _upload(place: Place, spec: AttemptSpec, known: Known) -> AttemptOutcome:
    outcome = known.succeeded(read_result(place.folder), result_artifacts(spec))
    with place.interruption.breaking_in():
        pauses_s = place.options.upload_pauses_s
        upload_result(spec, place.folder, place.artifacts, outcome, pauses_s=pauses_s)
    return replace(outcome, wall_s=known.elapsed_s)


class _LastWord(AbstractContextManager["_LastWord"]):
    """Writes the outcome when the attempt is over, however it ended.

    An error of our own must not take the outcome with it, so it becomes one (``parent_error``)
    and goes no further. What is not an error (SystemExit, KeyboardInterrupt) is recorded too, but
    travels on.
    """

    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger
        self.outcome = ledger.known.failed(_ENDED_UNKNOWN)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Settle the outcome, store it, tell it."""
        ledger, place = self._ledger, self._ledger.place
        if error is not None:
            self.outcome = ledger.known.failed(_failure_of(error))
        owns_prefix = ledger.lease is not None and ledger.lease.owns_prefix
        if ledger.spec is not None and self.outcome.failure is not None and owns_prefix:
            stored = replace(self.outcome, artifacts={"failure": failure_prefix(ledger.spec)})
            if upload_failure(ledger.spec, place.folder, place.artifacts, stored):
                self.outcome = stored
        write_outcome(place.folder, self.outcome)
        _log.info(
            "attempt.ended",
            extra={"attempt_id": self.outcome.attempt_id, "exit_code": self.outcome.exit_code},
        )
        if ledger.spec is not None:
            place.sink.report_end(ledger.spec)
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
