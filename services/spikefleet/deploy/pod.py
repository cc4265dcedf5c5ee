"""Entry of a sort attempt in a pod of its own: ``python -m spikefleet.deploy.pod``, no arguments.

Fetches the order from the artifact store, runs the runner's parent on the scratch volume and, while
it runs, brings what would die with the pod to where it outlives it: the last readings to the store,
the sorter's log to standard output. The last word goes where the container runtime reads it. The
exit code is the attempt's, whatever happens.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.files import write_json
from spikefleet.deploy.attempt import parent_options
from spikefleet.deploy.attempt_sink import make_sink
from spikefleet.deploy.pod_outlet import PodOutlet
from spikefleet.deploy.pod_variables import PodVariables, read_pod_variables
from spikefleet.deploy.settings import confined_environment, own_environment, s3_credentials
from spikefleet.infra.launchers.process import THREAD_VARIABLES
from spikefleet.infra.logs import configure_logging
from spikefleet.infra.stores.bytes.artifacts import ArtifactDamagedError, ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.interruption import Interruption
from spikefleet.runner.outcome import write_early_end, write_unreadable_spec
from spikefleet.runner.parent import run_attempt
from spikefleet.runner.stage_in import storage_failures

_log = logging.getLogger(__name__)

_NOT_STARTED_BY_US = 64  # as a usage error of sysexits: no attempt has this code


def main() -> int:
    """Run this pod's attempt; return its exit code."""
    configure_logging(as_json=True)
    try:
        order = read_pod_variables(own_environment())
    except ValueError as error:
        _log.error("pod.no_order", extra={"error": str(error)})
        return _NOT_STARTED_BY_US
    folder = RunFolder(order.scratch / (order.pod or "attempt"))
    folder.root.mkdir(parents=True, exist_ok=True)
    _lead_to(folder.termination_message, order.termination_log)
    early = Interruption()
    try:
        with early.listening(), early.breaking_in(), storage_failures(order.spec_key):
            artifacts = open_artifacts(order.artifacts_url, s3_credentials())
            spec = _take_order(order, artifacts, folder)
    except SpikeSortingClassifiedError as error:
        _log.exception("pod.order_not_fetched")
        return write_early_end(folder, Failure.from_error(error, rule_id="pod.order"))
    except (ValueError, TypeError, KeyError) as error:
        _log.exception("pod.unreadable_order")
        return write_unreadable_spec(folder, error)
    return _run(order, folder, artifacts, spec)


def _run(
    order: PodVariables, folder: RunFolder, artifacts: ArtifactStore, spec: AttemptSpec
) -> int:
    secret = order.secret_file.read_text(encoding="ascii").strip() if order.secret_file else ""
    environment = confined_environment() | dict.fromkeys(THREAD_VARIABLES, str(spec.cpus))
    options = replace(parent_options(), environment=environment, metrics_address="0.0.0.0")
    outlet = PodOutlet(folder, artifacts, spec.artifacts_prefix)
    outlet.start()
    try:
        return run_attempt(
            folder.root, artifacts, sink=make_sink(spec.report_address, secret), options=options
        )
    finally:
        outlet.close()


def _take_order(order: PodVariables, artifacts: ArtifactStore, folder: RunFolder) -> AttemptSpec:
    """Fetch the order and write it where parent and child read it.

    Raises ArtifactDamagedError when it is not the one the controller wrote, ValueError, OSError.
    """
    data = artifacts.get_bytes(order.spec_key)
    if hashlib.sha256(data).hexdigest() != order.spec_sha256:
        raise ArtifactDamagedError(f"{order.spec_key} is not the order that was given")
    document: Mapping[str, Any] = json.loads(data)
    spec = AttemptSpec.from_json(document)
    limit = spec.memory_limit_bytes or order.memory_bytes
    spec = replace(spec, memory_limit_bytes=limit, artifacts_url=order.artifacts_url)
    write_json(folder.spec, spec.to_json())
    return spec


def _lead_to(message: Path, log: Path | None) -> None:
    """Have what is written as the termination message written where the runtime reads it."""
    if log is not None and not message.is_symlink():
        message.unlink(missing_ok=True)
        message.symlink_to(log)


if __name__ == "__main__":
    sys.exit(main())
