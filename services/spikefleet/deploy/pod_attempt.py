"""What a pod's process does: its order from the store, the runner's parent, and a last word.

Fetches the order, runs the attempt on the scratch volume and, while it runs, brings what would die
with the pod to where it outlives it: the last readings to the store, the sorter's log to standard
output. Every way to end is told where the container runtime reads it, also before there is an order
or a folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import (
    DiskExhaustionError,
    EnvironmentSortFailure,
    Failure,
    SpikeSortingClassifiedError,
)
from spikefleet.core.files import write_json
from spikefleet.core.ids import AttemptId
from spikefleet.deploy.attempt import parent_options
from spikefleet.deploy.attempt_sink import make_sink
from spikefleet.deploy.pod_outflow import LogOutflow, Outflow
from spikefleet.deploy.pod_outlet import PodOutlet
from spikefleet.deploy.pod_scratch import PodScratch
from spikefleet.deploy.pod_variables import PodVariables, read_pod_variables, termination_log
from spikefleet.deploy.settings import confined_environment, own_environment, s3_credentials
from spikefleet.infra.launchers.process import THREAD_VARIABLES
from spikefleet.infra.logs import configure_logging
from spikefleet.infra.stores.bytes.artifacts import ArtifactDamagedError, ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.interruption import Interruption
from spikefleet.runner.outcome import exit_code_of, make_termination_message, write_outcome
from spikefleet.runner.parent import run_attempt
from spikefleet.runner.stage_in import storage_failures

_log = logging.getLogger(__name__)

_NOT_STARTED_BY_US = 64  # as a usage error of sysexits: no attempt has this code
_LAST_WRITE_S = 3.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def carry_out(heard: Sequence[str] = ()) -> int:
    """Run this pod's attempt; return its exit code. ``heard`` names the stop signals until now."""
    words = Outflow(sys.stderr.buffer)
    configure_logging(as_json=True, stream=LogOutflow(words))
    interruption = Interruption()
    interruption.listen()
    interruption.note(heard[0] if heard else "")
    try:
        return _told(interruption)
    finally:
        words.drain(_LAST_WRITE_S)


def _told(interruption: Interruption) -> int:
    environment = own_environment()
    try:
        order = read_pod_variables(environment)
    except ValueError as error:
        _log.error("pod.no_order", extra={"error": str(error)})
        _say(termination_log(environment), str(error).encode())
        return _NOT_STARTED_BY_US
    scratch = PodScratch(order.scratch, order.pod or "attempt", stays=order.scratch_stays)
    folder = RunFolder(scratch.folder)
    with _LastWord(order, folder) as end:
        with interruption.breaking_in():
            with _scratch_failures(scratch.folder):
                scratch.take()
                _lead_to(folder.termination_message, order.termination_log)
                scratch.sweep()
            with storage_failures(order.spec_key):
                artifacts = open_artifacts(order.artifacts_url, s3_credentials())
                spec = _take_order(order, artifacts)
            with _scratch_failures(scratch.folder):
                write_json(folder.spec, spec.to_json())
        end.exit_code = _run(order, folder, artifacts, spec, interruption)
    scratch.empty()
    return end.exit_code


class _LastWord(AbstractContextManager["_LastWord"]):
    """Tells how the pod ended where the attempt could not tell it itself.

    ``exit_code`` is the attempt's, or that of the error that came before it.
    """

    def __init__(self, order: PodVariables, folder: RunFolder) -> None:
        self._order, self._folder = order, folder
        self.exit_code = exit_code_of(Failure(FailureCode.UNCLASSIFIED, ""))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Write the outcome of an error, and go on to the end."""
        if error is None:
            return True
        _log.error("pod.failed", exc_info=error)
        failure = _failure_of(error)
        known = AttemptId(self._order.attempt_id or self._folder.root.name)
        outcome = AttemptOutcome(known, exit_code_of(failure), failure)
        self.exit_code = outcome.exit_code
        write_outcome(self._folder, outcome)
        # The folder may be what is missing.
        _say(self._order.termination_log, make_termination_message(outcome))
        return True


def _failure_of(error: BaseException) -> Failure:
    if isinstance(error, SpikeSortingClassifiedError):
        return Failure.from_error(error, rule_id="pod.order")
    return Failure(
        FailureCode.UNCLASSIFIED,
        f"The attempt's order cannot be read or carried out: {type(error).__name__}: {error}",
        stage="start",
        rule_id="pod.error",
        evidence={"exception_type": type(error).__name__},
    )


def _run(
    order: PodVariables,
    folder: RunFolder,
    artifacts: ArtifactStore,
    spec: AttemptSpec,
    interruption: Interruption,
) -> int:
    sink = make_sink(spec.report_address, _secret(order.secret_file))
    environment = confined_environment() | dict.fromkeys(THREAD_VARIABLES, str(spec.cpus))
    options = replace(parent_options(), environment=environment, metrics_address="0.0.0.0")
    outlet = PodOutlet(folder, artifacts, spec.artifacts_prefix)
    outlet.start()
    try:
        return run_attempt(
            folder.root, artifacts, sink=sink, options=options, interruption=interruption
        )
    finally:
        outlet.close()


@contextmanager
def _scratch_failures(folder: Path) -> Iterator[None]:
    """Turn what the scratch volume refuses into failures of ours."""
    try:
        yield
    except OSError as error:
        path = str(folder)
        if error.errno in _FULL:
            raise DiskExhaustionError(
                f"The scratch volume is full: {error}", folder=path
            ) from error
        raise EnvironmentSortFailure(
            f"The scratch volume cannot be written: {error}", path=path, error=str(error)
        ) from error


def _secret(file: Path | None) -> str:
    """The attempt's secret; "" where no file is named. Raises EnvironmentSortFailure."""
    if file is None:
        return ""
    try:
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise EnvironmentSortFailure(
            f"The attempt's secret cannot be read: {error}", path=str(file), error=str(error)
        ) from error
    if not secret:
        raise EnvironmentSortFailure("The file of the attempt's secret is empty.", path=str(file))
    return secret


def _take_order(order: PodVariables, artifacts: ArtifactStore) -> AttemptSpec:
    """Fetch the order.

    Raises ArtifactDamagedError when it is not the one the controller wrote, ValueError, TypeError,
    OSError.
    """
    data = artifacts.get_bytes(order.spec_key)
    if hashlib.sha256(data).hexdigest() != order.spec_sha256:
        raise ArtifactDamagedError(f"{order.spec_key} is not the order that was given")
    document: Any = json.loads(data)
    if not isinstance(document, dict):
        raise TypeError(f"the order is no JSON object but a {type(document).__name__}")
    spec = AttemptSpec.from_json(document)
    limit = spec.memory_limit_bytes or order.memory_bytes
    return replace(spec, memory_limit_bytes=limit, artifacts_url=order.artifacts_url)


def _lead_to(message: Path, log: Path | None) -> None:
    """Have what is written as the termination message written where the runtime reads it."""
    if log is not None and not message.is_symlink():
        message.unlink(missing_ok=True)
        message.symlink_to(log)


def _say(log: Path | None, words: bytes) -> None:
    """Write the last word; where the runtime takes none, the log has it."""
    try:
        if log is not None:
            log.write_bytes(words)
    except OSError as error:
        _log.error("termination_message.not_written", extra={"error": str(error)})
