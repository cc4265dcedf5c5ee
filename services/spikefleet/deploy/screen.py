"""The terminal as a place to write on: styles are ours, the words often somebody else's."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from spikefleet.core.visible_text import visible


class Screen(Console):
    """A console on which words stay words: no text printed on it steers the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does, each piece of text made visible; its own control codes stay."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=visible(piece.text))
