"""Decisions of the supervisor that whole attempts seldom meet."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: a supervisor ends everything that its process has started.
SCRIPT = """
import json, sys
from pathlib import Path
from tests.support.attempts import is_running, make_spec, wait_for
from spikefleet.core.attempts import RunFolder
from spikefleet.core.files import read_json
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.runner.progress import ProgressParser
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Reading
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.infra.metrics import Metrics
from spikefleet.runner.audit import AuditTrail
from spikefleet.runner.interruption import Interruption
from spikefleet.runner.reporting import Reporter, SilentSink
from spikefleet.runner.supervise import Supervisor, Timing

place, exit_code = Path(sys.argv[1]), sys.argv[2]
folder = RunFolder(place / "attempt")
folder.root.mkdir()

class Late:
    name, interval_s, thresholds = "late", 0.01, {}

    def read(self, now_s):
        child = read_json(folder.child_started)["pid"]
        wait_for(lambda: not is_running(child))
        return Reading("late", trip=Failure(FailureCode.IO_STALL, "too late"))

reporter = Reporter(make_spec(place), folder, Metrics(), SilentSink())
audit = AuditTrail(folder.watchdog_events)
parser = ProgressParser(BACKENDS["lupin"])
supervisor = Supervisor(folder, GuardLoop([Late()]), reporter, parser, Timing(0.05, 1.0), audit)
command = [sys.executable, "-c", f"import sys, time; time.sleep(0.3); sys.exit({exit_code})"]
end = supervisor.run(command, Interruption())
print(json.dumps([end.exit_code, end.trip is not None]))
"""


@pytest.mark.parametrize(("exit_code", "is_tripped"), [(0, False), (3, True)])
def test_a_sorter_that_was_done_before_it_could_be_stopped_is_done(
    tmp_path: Path, exit_code: int, is_tripped: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(exit_code)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert json.loads(done.stdout) == [exit_code, is_tripped]
