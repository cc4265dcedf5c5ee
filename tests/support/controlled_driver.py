"""A controller in a process of its own, to be killed: ``controlled_driver.py <folder>``.

Drives every run in the folder to its end. The rooms take their time, so that kills find them busy.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.controlled import Controlled, willing

from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.runs import TERMINAL, Attempt, Run, RunState

OPEN = [state for state in RunState if state not in TERMINAL]


def slowly(run: Run, attempt: Attempt) -> StageResult:
    time.sleep(0.1)
    return willing(run, attempt)


if __name__ == "__main__":
    controlled = Controlled(Path(sys.argv[1]), "fail:host_out_of_memory,slow", slowly)
    controlled.drive(lambda: not any(controlled.runs.counts_by_state()[state] for state in OPEN))
    controlled.close()
