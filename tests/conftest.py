"""What every test run needs before the science stack is imported. Decides no behaviour of tests."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import rights_of_a_run

ROOT = Path(__file__).resolve().parent.parent

# One thread per library: two test processes must not fight over two cores, and results stay equal.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Compiled once per checkout, shared by every sorter child a test starts.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / "numba"))
os.environ.setdefault("MPLBACKEND", "agg")
# A developer's own settings must not decide whether a test passes.
for _name in [name for name in os.environ if name.startswith("SPIKEFLEET_")]:
    del os.environ[_name]

# A busy machine is slow, which is no fault of what is tested: speed is measured in bench/.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")


def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what the controller's code asked of fake clusters in a worker of this run."""
    del error
    rights_of_a_run.take_over(getattr(node, "workeroutput", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hold the rights that the whole run used to the chart's Role; a difference is a failure."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        rights_of_a_run.hand_over(output)
        return
    if rights_of_a_run.differences(session.config, failed=session.testsfailed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which rights differ."""
    config, failed = terminalreporter.config, len(terminalreporter.getreports("failed"))
    for line in rights_of_a_run.differences(config, failed=failed):
        terminalreporter.write_line(line, red=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none, and say so."""
    if shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device; neither nvidia-smi nor /dev/nvidia0 here")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)
