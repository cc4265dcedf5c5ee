"""What a transfer looks like in a terminal: the bar ends where the bytes do."""

import re

from spikefleet.cli.connection import transfers
from spikefleet.cli.printing import Output
from spikefleet.client.views import Transfer

TOTAL = 57_600_000


def shown(capsys, *told: Transfer) -> str:
    with transfers(Output("text")) as show:
        for transfer in told:
            show(transfer)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)


def test_what_the_service_has_already_ends_with_a_full_bar_that_says_so(capsys) -> None:
    waits = Transfer("upload", "", 0, TOTAL, "waiting for the bucket, next try in 1 s")
    there = Transfer("upload", "", TOTAL, TOTAL, is_known=True)
    last = shown(capsys, waits, there).strip().splitlines()[-1]
    assert "the service has it already" in last
    assert "57.6/57.6 MB" in last
    assert "?" not in last
    assert "waiting" not in last


def test_a_bar_that_never_moved_says_no_speed(capsys) -> None:
    said = shown(capsys, Transfer("upload", "", 0, TOTAL, "waiting for the service"))
    assert "0.0/57.6 MB" in said
    assert "?" not in said


def test_a_command_that_moves_nothing_shows_nothing(capsys) -> None:
    assert shown(capsys) == ""
