"""Several runs on one page: what failed first, with its cause, and a plate drawn as a plate.

Made from what the service tells of each run, so that a plate, a session or a night is seen at once.
One HTML file that needs nothing else, and text for a terminal or mail. Words from outside stay
words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from spikefleet.client.views import RunView
from spikefleet.core.findings.next_step import next_step_for
from spikefleet.core.runs import RunState
from spikefleet.core.text import counted
from spikefleet.core.visible_text import visible_line

# What a person has to look at comes first.
_ORDER = (
    "failed", "input_error", "held", "unsortable", "waiting", "running", "queued", "success",
    "cancelled",
)  # fmt: skip
_WORDS = {"input_error": "with a wrong input", "success": "sorted"}
_TONES = {
    "success": "good", "failed": "bad", "input_error": "bad", "held": "bad", "unsortable": "warn",
    "cancelled": "off",
}  # fmt: skip
# Rows and columns of the plates that are sold; the smallest that has the well.
_PLATES = ((1, 1), (2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24))
_WELL = re.compile(r"^well[_ ]?(\d{1,4})$", re.IGNORECASE)
_LETTERED = re.compile(r"^([A-P])(\d{1,2})$", re.IGNORECASE)
_LONGEST_CAUSE = 300


@dataclass(frozen=True)
class OverviewLine:
    """One run as the overview tells it; what is not known is empty."""

    run_id: str  #: its id
    recording: str  #: project/session/name
    stream: str  #: its well or probe
    backend: str  #: the sorter
    outcome: str  #: where it stands, in one word
    n_curated: int | None  #: units that curation kept; None until there are any
    n_sorted: int | None  #: units that the sorter found
    cause: str  #: why it did not succeed
    next_step: str  #: what helps

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return dict(vars(self))

    @property
    def units(self) -> str:
        """Curated units of those sorted: "5 of 7"."""
        if self.n_curated is None:
            return ""
        return str(self.n_curated) + ("" if self.n_sorted is None else f" of {self.n_sorted}")


@dataclass(frozen=True)
class Plate:
    """The wells of one recording: ``wells`` maps (row, column) to its line."""

    recording: str
    n_rows: int
    n_columns: int
    wells: Mapping[tuple[int, int], OverviewLine]


def lines_of(runs: Sequence[RunView]) -> tuple[OverviewLine, ...]:
    """Return a line for each run: those a person must look at first, then by name."""
    lines = [_line(run) for run in runs]
    return tuple(sorted(lines, key=_place_in_list))


def _place_in_list(line: OverviewLine) -> tuple[int, str, str, str]:
    return _rank(line.outcome), line.recording, line.stream, line.run_id


def _rank(outcome: str) -> int:
    return _ORDER.index(outcome) if outcome in _ORDER else len(_ORDER)


def _line(view: RunView) -> OverviewLine:
    run, failure = view.run, view.failure
    has_failed = failure is not None and run.state is not RunState.SUCCEEDED
    return OverviewLine(
        run_id=run.run_id,
        recording=visible_line(run.recording_name or run.recording_id),
        stream=visible_line(run.stream),
        backend=run.backend,
        outcome=view.outcome,
        n_curated=run.result.get("n_units_curated"),
        n_sorted=run.result.get("n_units_sorted"),
        cause=visible_line(failure.message)[:_LONGEST_CAUSE] if failure and has_failed else "",
        next_step=next_step_for(failure) if failure and has_failed else "",
    )


def sentence(lines: Sequence[OverviewLine]) -> str:
    """Say in a sentence how all of them stand: "6 runs: 1 unsortable, 5 sorted."."""
    counts = Counter(line.outcome for line in lines)
    told = [f"{counts[name]} {_WORDS.get(name, name)}" for name in sorted(counts, key=_rank)]
    return f"{counted(len(lines), 'run')}" + (f": {', '.join(told)}." if told else ".")


def to_json(lines: Sequence[OverviewLine]) -> dict[str, Any]:
    """Return the overview as a JSON-ready dictionary, with the counts of every outcome."""
    counts = Counter(line.outcome for line in lines)
    return {
        "n_total": len(lines),
        "n_succeeded": counts["success"],
        "n_failed": sum(counts[name] for name in ("failed", "input_error", "held", "unsortable")),
        "outcomes": dict(sorted(counts.items())),
        "runs": [line.to_json() for line in lines],
    }


def plates_of(lines: Sequence[OverviewLine]) -> tuple[Plate, ...]:
    """Return a plate for each recording of which more than one well was sorted.

    Wells are known by their names (``well003``, ``B2``), counted along the rows. Of several runs of
    one well the first of ``lines`` is shown: the one to look at.
    """
    by_recording: dict[str, list[OverviewLine]] = {}
    for line in lines:
        by_recording.setdefault(line.recording, []).append(line)
    plates = []
    for recording, own in sorted(by_recording.items()):
        places = {line.run_id: _place(line.stream) for line in own}
        if len({line.stream for line in own}) < 2 or None in places.values():
            continue
        plates.append(_plate(recording, own, places))
    return tuple(plates)


def _place(stream: str) -> tuple[int, int | None] | None:
    """Row and column of a lettered well, (number, None) of a numbered one; None for no well."""
    if numbered := _WELL.match(stream):
        return int(numbered[1]), None
    if lettered := _LETTERED.match(stream):
        return ord(lettered[1].upper()) - ord("A"), int(lettered[2]) - 1
    return None


def _plate(
    recording: str,
    lines: Sequence[OverviewLine],
    places: Mapping[str, tuple[int, int | None] | None],
) -> Plate:
    found = [(line, place) for line in lines if (place := places[line.run_id]) is not None]
    rows, columns = next(
        (
            (rows, columns)
            for rows, columns in _PLATES
            if all(_fits(place, rows, columns) for _, place in found)
        ),
        _PLATES[-1],
    )
    wells: dict[tuple[int, int], OverviewLine] = {}
    for line, (first, column) in found:
        at = divmod(first, columns) if column is None else (first, column)
        wells.setdefault(at, line)
    rows = max([rows, *(row + 1 for row, _ in wells)])
    return Plate(recording, rows, columns, wells)


def _fits(place: tuple[int, int | None], rows: int, columns: int) -> bool:
    first, column = place
    return first < rows * columns if column is None else first < rows and column < columns


def to_html(lines: Sequence[OverviewLine], title: str) -> str:
    """Return the page: one file, without scripts, that loads nothing from anywhere."""
    plates = "".join(_plate_html(plate) for plate in plates_of(lines))
    rows = "".join(_row_html(line) for line in lines)
    return _PAGE.format(
        title=escape(title),
        style=_STYLE,
        sentence=escape(sentence(lines)),
        plates=plates,
        rows=rows,
    )


def _plate_html(plate: Plate) -> str:
    cells = []
    for row in range(plate.n_rows):
        for column in range(plate.n_columns):
            line = plate.wells.get((row, column))
            if line is None:
                cells.append('<span class="well none" aria-hidden="true"></span>')
                continue
            told = escape(f"{line.stream}: {_WORDS.get(line.outcome, line.outcome)} {line.units}")
            cells.append(
                f'<a class="well {_TONES.get(line.outcome, "busy")}" href="#{escape(line.run_id)}"'
                f' title="{told}"><b>{escape(line.stream)}</b>'
                f"<span>{escape(line.units or line.outcome)}</span></a>"
            )
    return (
        f"<section><h2>{escape(plate.recording)}</h2>"
        f'<div class="plate" style="grid-template-columns: repeat({plate.n_columns}, 1fr)">'
        f"{''.join(cells)}</div></section>"
    )


def _row_html(line: OverviewLine) -> str:
    tone = _TONES.get(line.outcome, "busy")
    cause = escape(line.cause) + (f" <i>{escape(line.next_step)}</i>" if line.next_step else "")
    wide = ' class="cause"' if cause else ""
    return (
        f'<tr id="{escape(line.run_id)}"><td><span class="tag {tone}">{escape(line.outcome)}</span>'
        f"</td><td>{escape(line.recording)}</td><td>{escape(line.stream)}</td>"
        f"<td>{escape(line.backend)}</td><td>{escape(line.units)}</td><td{wide}>{cause}</td>"
        f"<td><code>{escape(line.run_id)}</code></td></tr>"
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1b2330; --muted: #5b6675; --line: #dde2ea; --panel: #fff;
 --ground: #f5f7fa; --good: #1c7a4a; --bad: #b3261e; --warn: #9a5b00; --busy: #2463a6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --muted: #9aa5b4; --line: #2c3440;
 --panel: #171c24; --ground: #0f1319; --good: #5cc48d; --bad: #ff8a80; --warn: #f0b35a;
 --busy: #7db5f0; } }
body { margin: 0 auto; max-width: 1180px; padding: 24px 16px; background: var(--ground);
 color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; overflow-wrap: anywhere; }
.sentence { font-size: 17px; } section { background: var(--panel); border: 1px solid var(--line);
 border-radius: 10px; padding: 12px 16px; margin: 14px 0; overflow-x: auto; }
.plate { display: grid; gap: 6px; min-width: min-content; max-width: 900px; }
.well { border: 2px solid var(--line); border-radius: 12px; padding: 6px 4px; min-width: 54px;
 text-align: center; text-decoration: none; color: inherit; display: flex; flex-direction: column;
 font-size: 12.5px; } .well.none { border-style: dashed; opacity: .5; }
.well:focus-visible { outline: 3px solid var(--busy); }
.well.good { border-color: var(--good); } .well.bad { border-color: var(--bad); }
.well.warn { border-color: var(--warn); } .well.busy { border-color: var(--busy); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 5px 10px 5px 0;
 border-bottom: 1px solid var(--line); } th { color: var(--muted); font-size: 12.5px; }
tr:target { outline: 2px solid var(--busy); } i { color: var(--muted); font-style: normal; }
.cause { min-width: 230px; }
.tag { font-weight: 650; } .tag.good { color: var(--good); } .tag.bad { color: var(--bad); }
.tag.warn { color: var(--warn); } .tag.busy { color: var(--busy); }
.tag.off { color: var(--muted); }
.hint { display: none; color: var(--muted); font-size: 13px; margin: 0 0 6px; }
@media (max-width: 760px) { .hint { display: block; } }
@media print { .hint { display: none; } section { break-inside: avoid; border: 0; } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p class="sentence">{sentence}</p></header>
<main>
{plates}
<section><p class="hint">The table is wider than the screen: drag it to the left.</p>
<table><thead><tr><th scope="col">Outcome</th><th scope="col">Recording</th>
<th scope="col">Stream</th><th scope="col">Sorter</th><th scope="col">Curated units</th>
<th scope="col">Cause and next step</th><th scope="col">Run</th></tr></thead>
<tbody>{rows}</tbody></table></section>
</main>
</body>
</html>
"""
