"""Log records at the edge."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from spikefleet.infra.logs import configure_logging


@pytest.fixture(autouse=True)
def keep_handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_an_event_is_one_json_line_with_its_fields() -> None:
    stream = io.StringIO()
    configure_logging(as_json=True, stream=stream)
    logging.getLogger("spikefleet.x").warning("guard.warned", extra={"guard": "disk"})
    document = json.loads(stream.getvalue())
    assert (document["event"], document["guard"]) == ("guard.warned", "disk")
    assert (document["level"], document["logger"]) == ("warning", "spikefleet.x")
    assert document["at"].endswith("+00:00")


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    configure_logging(as_json=True, stream=stream)
    try:
        raise OSError("disk on fire")
    except OSError:
        logging.getLogger().exception("parent.error")
    assert stream.getvalue().count("\n") == 1
    assert "disk on fire" in json.loads(stream.getvalue())["trace"]


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    configure_logging(as_json=False, stream=stream)
    logging.getLogger().info("attempt.started", extra={"pid": 7})
    assert "attempt.started pid=7" in stream.getvalue()


def test_no_value_forges_a_line_or_steers_the_terminal() -> None:
    stream = io.StringIO()
    configure_logging(as_json=False, stream=stream)
    logging.getLogger().info("read.failed", extra={"path": "/d/\x1b[2Ja\n00:00:00 info forged"})
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
