"""What is written never waits for a reader that has stopped reading."""

import io
import logging
import os
import time

from tests.support.attempts import wait_for

from spikefleet.deploy.pod_outflow import LogOutflow, Outflow
from spikefleet.infra.logs import JsonFormatter


def test_what_is_offered_is_written_in_order():
    out = io.BytesIO()
    flow = Outflow(out)
    assert all(flow.offer(b"%d " % number) for number in range(100))
    assert flow.drain(5.0)
    assert out.getvalue().split() == [b"%d" % number for number in range(100)]


def test_a_reader_that_hangs_costs_no_time_and_what_has_no_room_is_refused():
    reading, writing = os.pipe()
    flow = Outflow(os.fdopen(writing, "wb", buffering=0), most_bytes=1 << 20)
    begun_s = time.monotonic()
    taken = sum(flow.offer(b"x" * 4096) for _ in range(2000))
    assert time.monotonic() - begun_s < 5.0
    assert taken < 2000
    assert flow.room < 4096
    assert not flow.drain(0.1)
    with os.fdopen(reading, "rb", buffering=0) as reader:
        left = taken * 4096
        while left:
            left -= len(reader.read(min(left, 1 << 16)))
    assert flow.drain(5.0)


def test_an_output_that_is_closed_ends_no_writer():
    reading, writing = os.pipe()
    os.close(reading)
    flow = Outflow(os.fdopen(writing, "wb", buffering=0))
    assert flow.offer(b"x")
    assert flow.drain(5.0)
    assert flow.offer(b"y")
    assert flow.drain(5.0)


def test_records_that_had_no_room_are_counted_once_there_is_room_again():
    reading, writing = os.pipe()
    flow = Outflow(os.fdopen(writing, "wb", buffering=0), most_bytes=200_000)
    handler = logging.StreamHandler(LogOutflow(flow))
    handler.setFormatter(JsonFormatter())
    for _ in range(5):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "e" * 90_000, (), None))
    with os.fdopen(reading, "rb", buffering=0) as reader:
        wait_for(lambda: len(reader.read(1 << 20)) and flow.room == 200_000)
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "after", (), None))
        assert flow.drain(5.0)
        said = reader.read(1 << 16)
    assert b'"event": "logs.left_out"' in said
    assert b'"event": "after"' in said
