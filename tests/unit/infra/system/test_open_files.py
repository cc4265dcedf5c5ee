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


_BEYOND = """
import fcntl, os
from spikefleet.infra.system.open_files import allow_open_files, is_readable
allow_open_files()
read, write = os.pipe()
high = fcntl.fcntl(read, fcntl.F_DUPFD, 2000)
print(high >= 2000, is_readable(high, 0.01))
os.close(write)
print(is_readable(high, None))
"""


def test_a_descriptor_is_waited_for_however_many_are_open() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BEYOND], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False", "True"]
