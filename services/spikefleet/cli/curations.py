"""``spikefleet curate`` and ``curations``: a run's stored sort curated again, and what there is.

A curation stands beside the run's own and never in its place; which of them ``fetch`` gives out is
chosen.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from spikefleet.cli.connection import connected
from spikefleet.cli.options import (
    address_option,
    needs_extra,
    output_option,
    parse_overrides,
    set_option,
)
from spikefleet.cli.printing import Output, age_text, next_command, table
from spikefleet.client.sorting import SortingClient
from spikefleet.core.rooms.curation import RunCuration
from spikefleet.core.text import counted

_CURATION = "curation.json"


@click.command()
@click.argument("run_id", metavar="RUN")
@set_option
@click.option("--name", default="", help="Name of the curation.  [default: its id]")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, path_type=Path),
    help="Phy folder or SpikeInterface curation (JSON, version 2) that a person made of this run.",
)
@click.option("--compare", "compared", is_flag=True, help="Show both curations unit by unit.")
@click.option("--choose", "chosen", is_flag=True, help="Have it given out by fetch from now on.")
@address_option
@output_option
def curate(run_id: str, address: str | None, output: str, **given: Any) -> None:
    """Curate a run's stored sort again with other settings, beside its own curation.

    Neither sorter, GPU nor recording is needed. --compare shows it beside the one that was chosen
    before, unit by unit: what kept each or rejected it. --from takes over merges, splits and
    labels that were made in another tool.
    """
    changes, out = parse_overrides(given["overrides"]), Output(output)
    hand = None if given["source"] is None else _by_hand(given["source"])
    with connected(address) as client:
        before = client.curation_named(run_id) if given["compared"] else None
        made, existed = client.curate(run_id, name=given["name"], by_hand=hand, **changes)
        pairs = _compared(client, before, made) if before is not None else []
        if given["chosen"]:
            made = client.choose_curation(run_id, made.name)
    document: dict[str, Any] = {**made.to_json(), "existed": existed}
    lines: list[Any] = [_said(made, existed=existed)]
    if before is not None:
        changed = [pair for pair in pairs if pair.has_changed]
        document["compared"] = {
            "with": before.name,
            "units": [pair.to_json() for pair in pairs],
            "changed": len(changed),
        }
        lines = [_pairs_table(pairs, before.name, made.name), *lines, _summary(pairs, before)]
    own = "" if made.is_chosen else f" --curation {made.name}"
    out.emit(document, *lines, next_command(f"spikefleet fetch {run_id}{own}"))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--choose", "name", default="", metavar="NAME", help="Have this one given out.")
@address_option
@output_option
def curations(run_id: str, name: str, address: str | None, output: str) -> None:
    """List the curations of a run; with --choose NAME have that one given out."""
    with connected(address) as client:
        if name:
            client.choose_curation(run_id, name)
        listed = client.curations(run_id)
    document = {"run_id": run_id, "curations": [one.to_json() for one in listed]}
    if not listed:
        Output(output).emit(document, f"{run_id} has no curation yet.")
        return
    Output(output).emit(document, curations_table(listed))


def _by_hand(path: Path) -> dict[str, Any]:
    with needs_extra("exports"):
        from spikefleet.cli.hand_curations import read_hand_curation  # noqa: PLC0415

    return read_hand_curation(path)


def curations_table(listed: Sequence[RunCuration]) -> Table:
    """A run's curations, one a line; * marks what ``fetch`` gives without a name."""
    shown = table("curation", "", ">kept", ">sorted", "settings", "by", "made")
    for one in listed:
        settings = ", ".join(
            f"{name.partition('.')[2]}={_value(value)}" for name, value in one.settings.items()
        )
        mark = "outdated" if one.is_outdated else "*" if one.is_chosen else ""
        made = age_text(one.created_at)
        counts = str(one.n_curated), str(one.n_sorted)
        made_of = one.kind if one.kind != "settings" else ""
        told = ", ".join(filter(None, (made_of, settings))) or "the run's"
        shown.add_row(one.name, mark, *counts, told, one.curator, made)
    return shown


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _said(made: RunCuration, *, existed: bool) -> str:
    kept = f"{made.n_curated} of {counted(made.n_sorted, 'unit')} kept"
    said = f"The curation {made.name} {'was there already' if existed else 'was made'}: {kept}."
    if made.report_html or made.is_outdated or not made.curation_id:
        return said
    return f"{said} Its report could not be made; the same command tries again."


@dataclass(frozen=True)
class _Pair:
    """One unit in both curations: the criterion that rejected it, "" where it is kept.

    None where a curation does not know the unit.
    """

    unit_id: str
    before: str | None
    after: str | None

    @property
    def has_changed(self) -> bool:
        """True when one keeps it and the other does not."""
        return (self.before == "") != (self.after == "")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "unit_id": self.unit_id,
            "passed_before": self.before == "",
            "failed_on_before": self.before,
            "passed_after": self.after == "",
            "failed_on_after": self.after,
            "changed": self.has_changed,
        }


def _compared(client: SortingClient, before: RunCuration, after: RunCuration) -> list[_Pair]:
    first, second = (_verdicts(client, one) for one in (before, after))
    units = [*first, *(unit for unit in second if unit not in first)]
    return [_Pair(unit, first.get(unit), second.get(unit)) for unit in units]


def _verdicts(client: SortingClient, curation: RunCuration) -> dict[str, str]:
    """Return of every unit what rejected it, "" where it was kept."""
    with tempfile.TemporaryDirectory(prefix="spikefleet-curation-") as scratch:
        name = curation.name
        client.fetch(curation.run_id, scratch, within=curation.prefix, curation=name)
        text = (Path(scratch) / "curate" / _CURATION).read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    failed = {unit: name for name, units in document["failed"].items() for unit in units}
    return {row["unit_id"]: failed.get(row["unit_id"], "") for row in document["units"]}


def _pairs_table(pairs: Sequence[_Pair], before: str, after: str) -> Table:
    shown = table("unit", before, after, "")
    for pair in pairs:
        told = ("kept" if said == "" else said or "-" for said in (pair.before, pair.after))
        mark = "" if not pair.has_changed else "now kept" if pair.after == "" else "now rejected"
        shown.add_row(pair.unit_id, *told, mark)
    return shown


def _summary(pairs: Sequence[_Pair], before: RunCuration) -> str:
    gained = sum(pair.has_changed and pair.after == "" for pair in pairs)
    lost = sum(pair.has_changed and pair.after != "" for pair in pairs)
    same = len(pairs) - gained - lost
    return (
        f"Against {before.name}: {counted(gained, 'unit')} kept in addition, "
        f"{lost} no longer, {same} as before."
    )
