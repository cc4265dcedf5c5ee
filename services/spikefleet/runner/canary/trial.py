"""The canary: the same sorter on a short, active stretch, in the same pod, before the full sort.

It answers one question: would this environment break the sort? So only what the environment did
ends the attempt, as if the sort itself had failed so. What the stretch did (too quiet, a crash)
proves nothing about the whole: it is recorded and the sort continues. A stretch too large for the
GPU means that the whole is, too: the sort begins one step down, as a retry would. The trial has its
own process, folder and copy; nothing it makes or draws reaches the sort.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import read_json, write_json
from spikefleet.core.policy.budgets import Policy
from spikefleet.core.policy.changes import DecisionContext, smaller_batches
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.runner.canary.memory import CanaryMemory
from spikefleet.runner.canary.window import (
    CanaryWindow,
    StreamLength,
    choose_window,
    kept_spans,
    read_activity,
    wanted_length_s,
)

_log = logging.getLogger(__name__)

STEP = "canary"
_QUIET_S = (120.0, 300.0)
_SHARE_OF_DEADLINE = 0.25  # a trial that never ends must leave the sort its time
_OUR_WINDOW = frozenset({"recording.start_time_s", "recording.end_time_s"})
_GPU_TOO_SMALL = frozenset({FailureCode.GPU_OUT_OF_MEMORY, FailureCode.GPU_MEMORY_WATCHDOG})
_SCRATCH = ("sorter", "result", "prepared")


class CanaryState(StrEnum):
    """How the trial went."""

    SKIPPED = "skipped"  # it would have told nothing; ``reason`` says why
    REMEMBERED = "remembered"  # it has passed before, under the same conditions
    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"  # it failed for a reason of its own; the sort continues
    BLOCKED = "blocked"  # the environment is broken; the sort is not started
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class CanaryReport:
    """What is written down of the trial. ``failure`` ends the attempt where ``blocks``.

    ``changes`` are those of a retry that the sort begins with, as ``core.policy`` makes them.
    """

    state: CanaryState
    reason: str = ""
    window: CanaryWindow | None = None
    failure: Failure | None = None
    n_units: int | None = None
    wall_s: float = 0.0
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether the attempt ends here."""
        return self.state in (CanaryState.BLOCKED, CanaryState.INTERRUPTED)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-ready record."""
        failure = self.failure
        document: dict[str, Any] = {"state": str(self.state), "reason": self.reason}
        if self.window is not None:
            document["window_s"] = [round(self.window.start_s, 3), round(self.window.end_s, 3)]
            document["chosen_by"] = self.window.chosen_by
            document["wall_s"] = self.wall_s
        if self.n_units is not None:
            document["n_units"] = self.n_units
        if failure is not None:
            document |= {"code": str(failure.code), "rule_id": failure.rule_id}
        if self.changes:
            document["changes"] = dict(self.changes)
        return document


Trial = Callable[[AttemptSpec, RunFolder], Failure | None]


def run_canary(
    spec: AttemptSpec,
    folder: RunFolder,
    memory: Callable[[], CanaryMemory],
    trial: Trial,
) -> CanaryReport:
    """Try the sorter on a window of the staged recording, where that would tell something.

    ``trial`` carries out one sort in a folder and returns why it failed, or None. ``memory`` is
    asked for only when a trial is due.

    Raises:
        InvalidConfigurationError: a configured window does not fit the recording.
    """
    window = plan_window(spec, execution_of(spec.config))
    if isinstance(window, str):
        return CanaryReport(CanaryState.SKIPPED, window)
    remembered = memory()
    passed_in = remembered.recall()
    if passed_in:
        reason = f"the trial of {passed_in} passed under the same conditions"
        return CanaryReport(CanaryState.REMEMBERED, reason)
    report = _try(spec, folder, window, trial)
    if report.state is CanaryState.PASSED:
        remembered.keep(spec.attempt_id)
    _log.info("canary.ended", extra={"attempt_id": spec.attempt_id, **report.to_json()})
    return report


def plan_window(spec: AttemptSpec, settings: ExecutionConfig) -> CanaryWindow | str:
    """Return the window to try, or why no trial is worth its time."""
    known = spec.preflight
    rate_hz = float((known.get("stream") or {}).get("sampling_rate_hz") or 0.0)
    if spec.duration_s <= 0 or rate_hz <= 0:
        return "the recording's length is not known"
    spans = kept_spans(spec.config.get("recording") or {}, StreamLength(spec.duration_s, rate_hz))
    kept_s = sum(end - start for start, end in spans)
    if kept_s < settings.canary_min_recording_s:
        return f"{kept_s:.0f} s are sorted, less than canary_min_recording_s"
    info = backend_of(spec.backend)
    params = (spec.config.get("sorter") or {}).get("sorter_params") or {}
    length_s = wanted_length_s(info, params, settings.canary_first_n_s, rate_hz)
    if length_s >= kept_s:
        return f"a trial of {length_s:.0f} s would be as long as the sort"
    return choose_window(spans, length_s, read_activity(known.get("measurements") or {}))


def trial_spec(spec: AttemptSpec, window: CanaryWindow) -> AttemptSpec:
    """Return the order of the trial: the same sort of the window, with nothing shared."""
    config = {group: dict(fields) for group, fields in spec.config.items()}
    config["recording"] = config.get("recording", {}) | {
        "start_time_s": window.start_s,
        "end_time_s": window.end_s,
        "rec_chunks": [],
        "rec_chunks_s": [],
    }
    execution = config.get("execution", {})
    low_s, high_s = _QUIET_S
    quiet_s = min(high_s, max(low_s, 4 * window.length_s))
    asked_s = float(execution.get("sorter_inactivity_base_s", quiet_s))
    config["execution"] = execution | {
        "canary_first_n_s": 0.0,
        "sorter_inactivity_base_s": min(asked_s, quiet_s),
        "sorter_inactivity_per_min_s": 0.0,
    }
    return replace(
        spec,
        config=config,
        artifacts_prefix=f"{spec.artifacts_prefix}/{STEP}",
        report_address="",
        prepared_folder="",
        duration_s=window.length_s,
        preflight={**spec.preflight, "measurements": {}},  # they are of the whole
        deadline_s=spec.deadline_s * _SHARE_OF_DEADLINE,
    )


def _try(spec: AttemptSpec, folder: RunFolder, window: CanaryWindow, trial: Trial) -> CanaryReport:
    """Sort the window in a folder of its own; only its words are kept."""
    own = RunFolder(folder.canary)
    shutil.rmtree(own.root, ignore_errors=True)
    order = trial_spec(spec, window)
    write_json(own.spec, order.to_json())
    own.inputs.symlink_to(folder.inputs, target_is_directory=True)
    started_s = time.monotonic()
    try:
        failure = trial(order, own)
        result = read_json(own.child_result) or {}
    finally:
        own.inputs.unlink(missing_ok=True)
        for name in _SCRATCH:
            shutil.rmtree(own.root / name, ignore_errors=True)
    wall_s = round(time.monotonic() - started_s, 3)
    if failure is None:
        units = result.get("n_units")
        return CanaryReport(CanaryState.PASSED, "", window, None, units, wall_s)
    state = _meaning(failure)
    staged = replace(failure, stage=STEP)
    changes = step_down(spec, failure) if state is CanaryState.INCONCLUSIVE else {}
    return CanaryReport(state, failure.message, window, staged, None, wall_s, changes)


def step_down(spec: AttemptSpec, failure: Failure) -> dict[str, Any]:
    """Return the changes a retry would make after the trial's GPU memory ran out; else none.

    A submitter who allows no such retry (``oom_retry_max`` 0) gets none here either.
    """
    policy = Policy.from_config(spec.config)
    if failure.code not in _GPU_TOO_SMALL or policy.oom_retry_max <= 0:
        return {}
    context = DecisionContext(config=spec.config, ladder=backend_of(spec.backend).ladder)
    return smaller_batches(context, policy) or {}


def _meaning(failure: Failure) -> CanaryState:
    """Say what a failed trial tells: of the environment, of itself, or of a request to stop."""
    if failure.code is FailureCode.ATTEMPT_INTERRUPTED:
        return CanaryState.INTERRUPTED
    if failure.category is not FailureCategory.ENVIRONMENT:
        return CanaryState.INCONCLUSIVE
    if failure.evidence.get("field") in _OUR_WINDOW:
        return CanaryState.INCONCLUSIVE  # the window was ours, not the run's
    return CanaryState.BLOCKED
