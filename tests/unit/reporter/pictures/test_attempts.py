"""What cannot be drawn is told."""

import pytest

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.reporter.pictures.attempts import try_to_draw


@pytest.mark.parametrize(
    "error", [IndexError("too far"), ValueError("too far"), InputCorruptError("too far")]
)
def test_what_cannot_be_drawn_says_why(error: Exception) -> None:
    def draw() -> None:
        raise error

    notes: list[str] = []
    assert try_to_draw("figure", notes, draw) is None
    assert notes == ["Not drawn: the figure (too far)."]


def test_an_error_of_the_program_is_not_hidden() -> None:
    def draw() -> None:
        raise AttributeError("a mistake of ours")

    with pytest.raises(AttributeError):
        try_to_draw("figure", [], draw)
