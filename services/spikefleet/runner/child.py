"""The runner's child: one recording through one backend, in a process that is allowed to die.

It says that it lives, gives up every right it does not need, and only then imports what reads and
sorts (``steps``). What it leaves is in the run folder: the result, or one document saying which
exception ended it and where. It classifies nothing beyond what was raised as classified, retries
nothing and talks to nobody; the parent watches, judges and uploads.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.failures.reading.exception_chain import to_document
from spikefleet.core.files import read_json, write_json
from spikefleet.infra.system.confinement import Confinement, confine
from spikefleet.runner.reach import child_policy

PR_SET_PDEATHSIG = 1
EXIT_UNCLASSIFIED_EXCEPTION = 1
_STEPS = "spikefleet.runner.steps"


@dataclass
class _Place:
    """The step an exception is put down to, until the steps themselves keep it."""

    current: str = "load"


def say(words: str) -> None:
    """Write a line that the parent's progress parser understands."""
    sys.stdout.write(f"[spikefleet] {words}\n")
    sys.stdout.flush()


def main(root: Path) -> int:
    """Run the attempt described in ``root``. Returns the exit code: 0, the table's, or 1."""
    folder = RunFolder(root)
    faulthandler.enable()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # silence in the log means a stalled sorter
    if not die_with_parent(folder):
        return BY_CODE[FailureCode.ATTEMPT_INTERRUPTED].exit_code or EXIT_UNCLASSIFIED_EXCEPTION
    say("started")
    steps: Any = _Place()
    try:
        spec = AttemptSpec.from_json(read_json(folder.spec) or {})
        confinement = confine_child(folder, spec)
        module = importlib.import_module(_STEPS)
        steps = module.Steps(say)
        module.run_steps(folder, spec, steps, confinement)
    except Exception as error:  # noqa: BLE001 - a border: whatever ends a sort must be written down
        traceback.print_exc()
        write_json(folder.child_failure, describe(error, steps.current))
        if isinstance(error, SpikeSortingClassifiedError) and error.row.exit_code:
            return error.row.exit_code
        return EXIT_UNCLASSIFIED_EXCEPTION
    return 0


def confine_child(folder: RunFolder, spec: AttemptSpec) -> Confinement:
    """Keep only what this sort needs; say what this machine could not keep away."""
    policy = child_policy(folder, spec)
    for path in policy.writable:
        Path(path).mkdir(parents=True, exist_ok=True)
    os.chdir(folder.child_scratch)
    confinement = confine(policy)
    for missing in confinement.missing:
        sys.stdout.write(f"WARNING: this sorter is not fully confined: {missing}\n")
    return confinement


def describe(error: Exception, step: str) -> dict[str, Any]:
    """Return the exception as data: what the failure rules read instead of a traceback's text."""
    classified = (
        Failure.from_error(error, stage="sort", rule_id="child.raised").to_json()
        if isinstance(error, SpikeSortingClassifiedError)
        else None
    )
    return {"step": step, **to_document(error), "classified": classified}


def die_with_parent(folder: RunFolder) -> bool:
    """Ask the kernel to kill this process when its parent dies.

    Returns False when the parent is gone already: then nobody would ever read the result.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    started = read_json(folder.started) or {}
    return bool(started.get("pid", os.getppid()) == os.getppid())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
