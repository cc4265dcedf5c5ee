"""What can be asked for: ``spikefleet sorters``, ``presets`` and ``settings``.

Read from the catalogues of this installation; no sorter is imported. Which sorters a service offers
it is asked itself, and where none answers the list says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from spikefleet.cli.connection import client_of
from spikefleet.cli.options import (
    address_option,
    completing,
    given_ca_file,
    output_option,
    settings_from,
)
from spikefleet.cli.printing import Output, next_command, table
from spikefleet.core.config import SortingConfig
from spikefleet.core.config.effects import SORT_FIELDS, described, is_pending
from spikefleet.core.config.names import nearest
from spikefleet.core.config.operators import OPERATOR_FIELDS
from spikefleet.core.config.presets import OWN_PRESETS, PRESETS, preset, preset_names
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.parameters import read_table
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable

# The first that every machine can run.
_EXAMPLE = next(info.name for info in BACKENDS.values() if not info.uses_gpu)


@click.command()
@click.argument("name", required=False, default="", shell_complete=completing(lambda: BACKENDS))
@address_option
@output_option
def sorters(name: str, address: str | None, output: str) -> None:
    """List the sorters and whether the service offers them; with a NAME its own parameters.

    \b
    spikefleet sorters lupin
    spikefleet submit RECORDING --sorter lupin --set sorter_params.detect_threshold=4
    """
    if name:
        _parameters(name.lower().replace("-", "_"), Output(output))
        return
    offered, told = _offered(address)
    rows = [
        {
            "name": info.name,
            "offered": None if offered is None else info.name in offered,
            "title": info.title,
            "uses_gpu": info.uses_gpu,
            "min_channels": info.min_channels,
            "suited_from": info.suited_from,
            "min_duration_s": info.min_duration_s,
            "installed_here": _installed(info.distribution),
            "install": f"pip install 'spikefleet[{info.extra}]'",
        }
        for info in BACKENDS.values()
    ]
    made = table(
        "sorter", "called", "runs on", ">channels", ">shortest", "offered", "on this machine"
    )
    for row in rows:
        made.add_row(
            str(row["name"]),
            str(row["title"]),
            "GPU or CPU" if row["uses_gpu"] else "CPU",
            f"{row['min_channels']} or more",
            f"{row['min_duration_s']:g} s",
            "?" if row["offered"] is None else "yes" if row["offered"] else "no",
            str(row["installed_here"] or row["install"]),
        )
    first = next((info.name for info in BACKENDS.values() if info.name in (offered or ())), "")
    submit = next_command(f"spikefleet submit RECORDING --sorter {first or _EXAMPLE}")
    parameters = next_command(f"spikefleet sorters {_EXAMPLE}", "for its own parameters")
    Output(output).emit({"sorters": rows, "offered_by": told}, made, told, parameters, submit)


def _offered(address: str | None) -> tuple[tuple[str, ...] | None, str]:
    """What the service offers (None: it does not say), and a sentence about that."""
    settings = settings_from(address=address, ca_file=given_ca_file())
    try:
        with client_of(settings) as client:
            return client.sorters(), f"Offered: what the service at {settings.address} runs."
    except ServiceUnreachable:
        return None, f"No service answers at {settings.address}, so what it offers is not known."
    except ServiceError as error:
        return None, f"The service at {settings.address} does not say what it offers: {error}"


def _installed(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return ""


def _parameters(sorter: str, out: Output) -> None:
    entries = read_table(sorter)
    if sorter not in BACKENDS or entries is None:
        near = nearest(sorter, BACKENDS)
        hint = f"did you mean {near!r}?" if near else f"choose one of {', '.join(BACKENDS)}"
        raise click.UsageError(f"there is no sorter called {sorter!r}; {hint}")
    rows = [
        {"name": f"sorter_params.{name}", "default": entry.default, "must_be": entry.wanted}
        for name, entry in entries.items()
    ]
    made = table("parameter", "default", "must be")
    for row in rows:
        made.add_row(str(row["name"]), json.dumps(row["default"]), str(row["must_be"]))
    name, default = rows[0]["name"], json.dumps(rows[0]["default"])
    example = f"spikefleet submit RECORDING --sorter {sorter} --set {name}={default}"
    out.emit({"sorter": sorter, "parameters": rows}, made, next_command(example))


@click.command()
@click.argument("name", required=False, default="", shell_complete=completing(preset_names))
@output_option
def presets(name: str, output: str) -> None:
    """List the presets; with a NAME list the settings it begins with.

    \b
    spikefleet presets lupin
    spikefleet submit RECORDING --preset lupin
    """
    if name:
        document = preset(name).to_document()
        made = table("setting", "value")
        for group, fields in document.items():
            for field, value in fields.items():
                if not is_pending(group, field):
                    made.add_row(f"{group}.{field}", json.dumps(value))
        hidden = sum(is_pending(group, field) for group in document for field in document[group])
        more = f"{hidden} settings that have no effect yet are left out."
        key = name.upper().replace("-", "_")
        step = next_command(f"spikefleet submit RECORDING --preset {name}")
        if not _can_run({**PRESETS, **OWN_PRESETS}.get(key, {})):
            step = next_command("spikefleet presets", "for those that are not refused today")
        Output(output).emit({"preset": name, "settings": document}, made, more, step)
        return
    rows: list[dict[str, Any]] = [
        {
            "name": key.lower(),
            "sets": dict(changes),
            "can_run": _can_run(changes),
        }
        for key, changes in {**PRESETS, **OWN_PRESETS}.items()
    ]
    made = table("preset", "sets", "")
    for row in rows:
        sets = ", ".join(f"{key}={_short(value)}" for key, value in row["sets"].items())
        made.add_row(row["name"], sets, "" if row["can_run"] else "refused today")
    Output(output).emit(
        {"presets": rows}, made, next_command(f"spikefleet submit RECORDING --preset {_EXAMPLE}")
    )


def _can_run(changes: Mapping[str, Any]) -> bool:
    return changes.get("sorter") in BACKENDS and not changes.get("use_docker")


def _short(value: Any) -> str:
    return f"{{{len(value)} entries}}" if isinstance(value, dict) else json.dumps(value)


@click.command()
@click.argument("name", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Also those that have no effect yet.")
@output_option
def settings(name: str, everything: bool, output: str) -> None:
    """List the settings of a sort whose name or meaning holds NAME; without one, all.

    \b
    spikefleet settings snr
    spikefleet submit RECORDING --set snr_min=6 --set freq_min=400
    """
    rows = [row for row in _rows() if everything or row["in_effect"]]
    word = name.lower()
    found = [row for row in rows if word in f"{row['name']} {row['meaning']}".lower()]
    found.sort(key=lambda row: word not in row["name"])  # those called so come first
    if not found:
        near = nearest(name, [row["name"].partition(".")[2] for row in rows])
        raise click.UsageError(
            f"no setting holds {name!r}; "
            + (f"did you mean {near!r}?" if near else "list all with: spikefleet settings")
        )
    made = table("setting", "default", "sorts again", "meaning")
    for row in found:
        again = "yes" if row["sorts_again"] else ""
        made.add_row(row["name"], json.dumps(row["default"]), again, row["meaning"])
    field = found[0]["name"].partition(".")[2]
    example = f"spikefleet submit RECORDING --set {field}={json.dumps(found[0]['default'])}"
    Output(output).emit({"settings": found}, made, next_command(example))


def _rows() -> list[dict[str, Any]]:
    """Every field of the configuration as the published page has it."""
    rows = []
    for group, info in SortingConfig.model_fields.items():
        kind: Any = info.annotation
        for field, entry in kind.model_fields.items():
            dotted = f"{group}.{field}"
            meaning = described(group, field, entry.description or "")
            rows.append(
                {
                    "name": dotted,
                    "default": _default(entry.default),
                    "meaning": meaning,
                    "sorts_again": dotted in SORT_FIELDS,
                    "in_effect": not is_pending(group, field) and dotted not in OPERATOR_FIELDS,
                }
            )
    return rows


def _default(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
