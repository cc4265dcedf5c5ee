"""When a template is started, and when it is not; what it then does is the launchers' contract."""

import sys
from pathlib import Path

import pytest
from tests.support.attempts import wait_for

from spikefleet.infra.launchers.warm import Start, WarmStarts

READY = (
    "import socket, sys; s = socket.socket(fileno=int(sys.argv[-1])); s.send(b'ready'); s.recv(1)"
)
REFUSES = "import socket, sys; socket.socket(fileno=int(sys.argv[-1])).send(b'it has 3 threads')"
ONE = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def asked() -> list[str]:
    return []


def make_starts(asked: list[str], code: str, idle_s: float = 600.0) -> WarmStarts:
    def command(_idle_s: float, backend: str) -> list[str]:
        asked.append(backend)
        return [sys.executable, "-c", code]

    return WarmStarts(idle_s, {}, command)


def test_a_sorter_used_once_gets_no_template(asked: list[str]) -> None:
    starts = make_starts(asked, READY)
    starts.prepare("lupin", ONE)
    starts.prepare("kilosort4", ONE)
    assert asked == []


def test_a_sorter_used_seldom_gets_no_template(asked: list[str]) -> None:
    starts = make_starts(asked, READY, idle_s=0.0)
    for _ in range(3):
        starts.prepare("lupin", ONE)
    assert asked == []


def test_two_sorters_have_templates_and_a_third_has_none(asked: list[str]) -> None:
    starts = make_starts(asked, READY)
    for backend in ("lupin", "kilosort4", "tridesclous2"):
        for _ in range(3):
            starts.prepare(backend, ONE)
    assert asked == ["lupin", "kilosort4"]
    wait_for(lambda: starts.is_ready("lupin") and starts.is_ready("kilosort4"))
    starts.close()


def test_a_template_that_cannot_be_forked_from_is_not_tried_again(asked: list[str]) -> None:
    starts = make_starts(asked, REFUSES)
    for _ in range(2):
        starts.prepare("lupin", ONE)
    wait_for(lambda: not starts.is_ready("lupin") and not starts.pid("lupin"))
    starts.prepare("lupin", ONE)
    assert asked == ["lupin"]


@pytest.mark.parametrize("environment", [{"OMP_NUM_THREADS": "2"}, {}, ONE])
def test_what_a_template_cannot_do_is_left_to_a_cold_start(
    asked: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """Another number of threads is not asked for; the stand-in ends when it is asked."""
    starts = make_starts(asked, READY)
    for _ in range(2):
        starts.prepare("lupin", ONE)
    wait_for(lambda: starts.is_ready("lupin"))
    with (tmp_path / "log").open("wb") as log:
        start = Start([sys.executable, "-c", ""], environment, tmp_path, log.fileno())
        assert starts.start("lupin", start) is None
    assert bool(starts.pid("lupin")) == (environment != ONE)
    starts.close()
