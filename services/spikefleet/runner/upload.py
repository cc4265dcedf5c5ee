"""Brings what an attempt made into the artifact store.

A success becomes valid through its manifest, written last. A failure leaves its logs and outcome
under ``<prefix>/failure``, with a manifest of its own: the attempt's prefix itself stays without
one, so that nobody can take a failed attempt for a result.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, RunFolder
from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.files import write_json
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, publish_folder
from spikefleet.runner.child_log import BoundedLog

_log = logging.getLogger(__name__)


def result_artifacts(spec: AttemptSpec) -> dict[str, str]:
    """Names and prefixes of what a success leaves in the store."""
    prefix = spec.artifacts_prefix
    parts = {name: f"{prefix}/{name}" for name in ("sorting", "analyzer", "logs")}
    return {"sort": prefix, **parts}


def failure_prefix(spec: AttemptSpec) -> str:
    """Where a failed attempt's logs and outcome go."""
    return f"{spec.artifacts_prefix}/failure"


def upload_result(
    spec: AttemptSpec,
    folder: RunFolder,
    artifacts: ArtifactStore,
    outcome: AttemptOutcome,
    *,
    pauses_s: tuple[float, ...] = (),
) -> None:
    """Publish the result with its logs, spec and outcome. Safe to repeat.

    A store that refuses is asked again after each of ``pauses_s``: hours of sorting are not thrown
    away for a hiccup.
    Raises StorageUnavailableError when it still refuses.
    """
    _add_records(spec, folder, folder.result, outcome)
    for pause_s in (*pauses_s, None):
        try:
            publish_folder(artifacts, spec.artifacts_prefix, folder.result)
        except (OSError, ValueError) as error:
            if pause_s is None:
                raise StorageUnavailableError(
                    f"The result could not be stored under {spec.artifacts_prefix}: {error}",
                    error=str(error),
                ) from error
            _log.warning("upload.again", extra={"error": str(error), "pause_s": pause_s})
            time.sleep(pause_s)
        else:
            return


def upload_failure(
    spec: AttemptSpec, folder: RunFolder, artifacts: ArtifactStore, outcome: AttemptOutcome
) -> bool:
    """Publish logs, child's last words and outcome, once. False (and logged) when it cannot be."""
    left = folder.root / "failure"
    try:
        left.mkdir(exist_ok=True)
        for path in (folder.child_failure, folder.heartbeat):
            if _is_plain(path):
                shutil.copyfile(path, left / path.name)
        _add_records(spec, folder, left, outcome)
        publish_folder(artifacts, failure_prefix(spec), left)
    except (OSError, ValueError) as error:
        _log.warning("upload.failure_not_stored", extra={"error": str(error)})
        return False
    return True


def _add_records(
    spec: AttemptSpec, folder: RunFolder, target: Path, outcome: AttemptOutcome
) -> None:
    """Put logs, spec and outcome beside what is published."""
    logs = target / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    if folder.child_log.is_file():
        _link(folder.child_log, logs / folder.child_log.name)
    tried = RunFolder(folder.canary).child_log
    if tried.is_file():
        _link(tried, logs / f"{folder.canary.name}.log")
    for path in (folder.watchdog_events, folder.trip_snapshot, folder.disk_report):
        if path.is_file():
            _link(path, logs / path.name)
    if folder.sorter.is_dir():
        for path in folder.sorter.rglob("*.log"):
            if _is_plain(path):
                BoundedLog(path).keep()
                _link(path, logs / path.name)
    write_json(target / "spec.json", spec.to_json())
    write_json(target / "outcome.json", outcome.to_json())


def _is_plain(path: Path) -> bool:
    """Whether a path is a file and no link: the child must not choose what else is published."""
    return path.is_file() and not path.is_symlink()


def _link(source: Path, target: Path) -> None:
    """Hard link: logs may be long, and nobody writes them any more."""
    target.unlink(missing_ok=True)
    os.link(source, target)
