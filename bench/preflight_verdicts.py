"""How often preflight's verdict is wrong, over many simulated recordings of every state.

A healthy recording called unsortable is the worse error: its data are lost to its owner. Noise
called sortable costs a sort. Every state has one right answer; both rates are counted.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from tests.support.preflight_signals import HEALTHY, UNSORTABLE, make_state

from spikefleet.signal.measuring.measure import measure_signal, signal_failure

SEEDS = 20
_LONG_SEEDS = 5


def _answers(states: dict[str, Any], name: str, seeds: int) -> Counter[str]:
    told: Counter[str] = Counter()
    for seed in range(seeds):
        measured = measure_signal(make_state(states, name, seed))
        failure = signal_failure(measured)
        told[type(failure).__name__ if failure else f"sortable ({measured.activity})"] += 1
    return told


def measure(seeds: int = SEEDS) -> tuple[dict[str, Any], bool]:
    """Return the answers per state, and whether none was wrong."""
    rows: dict[str, Any] = {"sortable": {}, "unsortable": {}}
    wrong = {"sortable": 0, "unsortable": 0}
    asked = {"sortable": 0, "unsortable": 0}
    for kind, states in (("sortable", HEALTHY), ("unsortable", UNSORTABLE)):
        for name in states:
            count = min(seeds, _LONG_SEEDS) if "1 h" in name else seeds
            started = time.process_time()
            told = _answers(states, name, count)
            right = sum(n for answer, n in told.items() if answer.startswith("sortable"))
            right = right if kind == "sortable" else count - right
            asked[kind] += count
            wrong[kind] += count - right
            rows[kind][name] = {
                **told,
                "cpu_s_each": round((time.process_time() - started) / count, 2),
            }
            print(f"{kind:10s} {name:55s} {dict(told)}", file=sys.stderr)
    result = {"asked": asked, "wrong": wrong, "answers": rows}
    return result, not any(wrong.values())
