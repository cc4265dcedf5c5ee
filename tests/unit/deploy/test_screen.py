"""Words on the terminal stay words."""

import io

from rich.table import Table
from rich.text import Text

from spikefleet.deploy.screen import Screen

STEERING = "\x1b]0;title\x07\x1b[2Jname"


def test_no_text_steers_the_terminal_in_a_sentence_or_a_table() -> None:
    stream = io.StringIO()
    screen = Screen(file=stream, width=80, force_terminal=True, markup=False)
    table = Table(STEERING)
    table.add_row(STEERING)
    for shown in (STEERING, Text(STEERING), table):
        screen.print(shown)
    assert "name" in stream.getvalue()
    assert "\x1b]0" not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()


def test_styles_of_our_own_stay() -> None:
    stream = io.StringIO()
    Screen(file=stream, force_terminal=True, color_system="standard").print(Text("x", style="red"))
    assert stream.getvalue() == "\x1b[31mx\x1b[0m\n"
