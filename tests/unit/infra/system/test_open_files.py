"""The service counts further than a shell's default."""

import subprocess
import sys

_RAISED = """
import resource
from spikefleet.infra.system.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
print(allow_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_process_may_open_as_many_files_as_the_machine_lets_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RAISED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["256", "256"]
