"""The demo: the whole main job on a recording whose spikes are known, as a user would run it.

Simulates a recording, starts a service, uploads over gRPC, follows the run, fetches the results
and compares them with the truth. Writes ``summary.json`` whatever happens, and says no more than
what was measured.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView, Transfer
from spikefleet.core.files import write_json
from spikefleet.deploy.run_progress import RunBar, make_bars
from spikefleet.deploy.service_process import ServiceStartError, running_service
from spikefleet.infra.rpc.errors import ServiceError
from spikefleet.signal.simulation import (
    SimulatedRecording,
    SimulationRequest,
    load_truth,
    simulate,
)
from spikefleet.signal.units.accuracy import AccuracyReport, compare_to_truth

N_CHANNELS = 16
DURATION_S = 60.0
N_UNITS = 6
SEED = 7


@dataclass(frozen=True)
class DemoSummary:
    """What ``summary.json`` holds. Times in seconds, accuracy between 0 and 1 or None."""

    run_id: str  #: the run
    status: str  #: how it ended
    sorter: str  #: its name
    n_units_sorted: int | None  #: found
    n_units_curated: int | None  #: kept
    mean_accuracy: float | None  #: against the simulated truth
    wall_s: float  #: submission to end
    sort_wall_s: float | None  #: the sort alone
    report_html: str  #: the page
    artifacts_root: str  #: the demo's store

    def write(self, folder: Path) -> None:
        """Write the summary into ``folder``, atomically."""
        write_json(folder / "summary.json", vars(self))


def run_demo(sorter: str, folder: Path, console: Console) -> int:
    """Run the demo into ``folder``; return 0 when the run succeeded, else 1."""
    started = time.monotonic()
    folder = folder.absolute()
    for name in ("recording", "results", "service"):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    bars = make_bars(console)
    console.print(f"[bold]spikefleet demo[/] with {sorter}: everything stays in {folder}\n")
    try:
        with bars:
            recording = _make_recording(folder, bars)
            run, accuracy = _sort(sorter, recording, folder, bars)
    except (ServiceError, ServiceStartError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        _summary(sorter, folder, None, None, time.monotonic() - started).write(folder)
        return 1
    summary = _summary(sorter, folder, run, accuracy, time.monotonic() - started)
    summary.write(folder)
    _tell(console, run, accuracy, summary)
    return 0 if run.has_succeeded else 1


def _make_recording(folder: Path, bars: Progress) -> SimulatedRecording:
    task = bars.add_task(f"recording: {N_CHANNELS} channels, {DURATION_S:.0f} s", total=1.0)
    request = SimulationRequest(
        format="spikeglx",
        path=folder / "recording" / "demo",
        n_channels=N_CHANNELS,
        duration_s=DURATION_S,
        n_units=N_UNITS,
        seed=SEED,
    )
    recording = simulate(request, lambda fraction: bars.update(task, completed=fraction))
    bars.update(task, completed=1.0)
    return recording


def _sort(
    sorter: str, recording: SimulatedRecording, folder: Path, bars: Progress
) -> tuple[RunView, AccuracyReport | None]:
    """Upload, follow, fetch, compare."""
    service_task = bars.add_task("service: starting", total=1.0)
    with (
        running_service(folder / "service", ("--stop-attempts-on-exit",)) as service,
        SortingClient(service.address) as client,
    ):
        bars.update(
            service_task, completed=1.0, description=f"service: answers at {service.address}"
        )
        upload = bars.add_task("upload over gRPC", total=1.0)

        def uploaded(transfer: Transfer) -> None:
            bars.update(upload, completed=transfer.done_bytes / max(transfer.total_bytes, 1))

        batch = client.submit(
            recording.path, sorter, name="demo/today", in_place=False, progress=uploaded
        )
        bars.update(upload, completed=1.0)
        run = _follow(client, batch.run_ids[0], bars)
        fetch = bars.add_task("fetch results", total=1.0)
        client.fetch(run.run_id, folder / "results")
        bars.update(fetch, completed=1.0)
    accuracy = _compare(recording, folder / "results") if run.has_succeeded else None
    return run, accuracy


def _follow(client: SortingClient, run_id: str, bars: Progress) -> RunView:
    """Show the run's stages and the sorter's own steps until it has ended."""
    bar = RunBar(bars)
    for update in client.watch(run_id):
        bar.show(update)
    return client.get(run_id)


def _find(folder: Path, name: str) -> Path:
    """The one fetched file called ``name``."""
    return next(iter(sorted(folder.rglob(name))))


def _compare(recording: SimulatedRecording, results: Path) -> AccuracyReport:
    """Compare the curated units, the ones a user gets, with the known spikes."""
    with np.load(_find(results, "curated.npz")) as curated:
        trains = curated["spike_trains"]
        found = {
            str(row["unit_id"]): trains[row["spikes_start"] : row["spikes_stop"]]
            for row in curated["units"]
        }
        rate_hz = float(curated["fs"])
    truth = load_truth(recording.truth_path)
    return compare_to_truth(found, truth.spike_samples, rate_hz)


def _summary(
    sorter: str,
    folder: Path,
    run: RunView | None,
    accuracy: AccuracyReport | None,
    wall_s: float,
) -> DemoSummary:
    result: Mapping[str, Any] = run.result if run else {}
    pages = sorted((folder / "results").rglob("report.html"))
    return DemoSummary(
        run_id=run.run_id if run else "",
        status=run.status if run else "failed",
        sorter=sorter,
        n_units_sorted=result.get("n_units_sorted"),
        n_units_curated=result.get("n_units_curated"),
        mean_accuracy=round(accuracy.mean_accuracy, 4) if accuracy else None,
        wall_s=round(wall_s, 1),
        sort_wall_s=result.get("sort_wall_s"),
        report_html=str(pages[0]) if pages else "",
        artifacts_root=str(folder / "service" / "artifacts"),
    )


def _tell(
    console: Console, run: RunView, accuracy: AccuracyReport | None, summary: DemoSummary
) -> None:
    """Print the units against the truth, or why there are none, and where the report is."""
    if accuracy is not None:
        table = Table(title="Known units and what was found", title_justify="left")
        for column in ("true unit", "found as", "accuracy", "precision", "recall"):
            table.add_column(column, justify="right")
        for row in accuracy.per_unit:
            table.add_row(
                row.truth_unit,
                row.best_unit or "missed",
                f"{row.accuracy:.3f}",
                f"{row.precision:.3f}",
                f"{row.recall:.3f}",
            )
        console.print(table)
        console.print(
            f"\nunits: {summary.n_units_sorted} sorted, {summary.n_units_curated} after curation; "
            f"mean accuracy [bold]{accuracy.mean_accuracy:.3f}[/] over {len(accuracy.per_unit)} "
            f"known units; {summary.wall_s:.0f} s in all."
        )
    if run.failure is not None:
        console.print(f"[bold red]{run.failure.message}[/] {run.failure.next_step}")
    if summary.report_html:
        console.print(f"Report: {summary.report_html}")
