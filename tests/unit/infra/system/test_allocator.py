"""Memory that was given back is there for the next message without the kernel."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource
from spikefleet.infra.system.allocator import keep_freed_memory
kept = {kept} and keep_freed_memory()
def faults():
    for _ in range(100):
        blocks = [bytes(256 << 10) for _ in range(16)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(int(bool(kept)), faults() - before)
"""


def _faults(*, kept: bool) -> tuple[bool, int]:
    command = [sys.executable, "-c", _FAULTS.format(kept=kept)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return said[0] == "1", int(said[1])


def test_freed_memory_is_used_again_without_new_pages() -> None:
    is_kept, with_it = _faults(kept=True)
    if not is_kept:
        pytest.skip("the C library of this machine has no mallopt")
    _, without = _faults(kept=False)
    assert with_it < 2_000
    assert with_it < without / 10
