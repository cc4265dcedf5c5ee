"""Waiting until runs have ended, through restarts of the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from spikefleet.client.retry_waits import RetryWaits
from spikefleet.client.views import RunView
from spikefleet.infra.rpc.errors import ServiceUnreachable

_WAIT_STEP_S = 0.5
_LONGEST_SLEEP_S = 2.0


def wait_for(
    get: Callable[[str], RunView],
    run_ids: Sequence[str],
    patience: RetryWaits,
    timeout_s: float | None,
) -> tuple[RunView, ...]:
    """Ask ``get`` until every run has ended or is held; return them in the order given.

    Raises TimeoutError after ``timeout_s``, ServiceUnreachable when the patience is spent.
    """
    until_s = None if timeout_s is None else time.monotonic() + timeout_s
    ended: dict[str, RunView] = {}
    pause_s = _WAIT_STEP_S
    while True:
        for run_id in run_ids:
            if run_id in ended:
                continue
            try:
                run = get(run_id)
            except ServiceUnreachable as error:
                patience.wait(error)
                break
            patience.restore()
            if run.is_settled:
                ended[run_id] = run
        if len(ended) == len(set(run_ids)):
            return tuple(ended[run_id] for run_id in run_ids)
        if until_s is not None and time.monotonic() >= until_s:
            left = [run_id for run_id in run_ids if run_id not in ended]
            raise TimeoutError(f"after {timeout_s:g} s these runs continue: {', '.join(left)}")
        time.sleep(pause_s)
        pause_s = min(_LONGEST_SLEEP_S, pause_s * 1.2)
