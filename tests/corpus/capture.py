"""Run a failing case in a process of its own and keep what the runner's child would leave."""

from __future__ import annotations

import json
import os
import re
import resource
import site
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import NumpyRecording

from spikefleet.core.files import read_json, write_json
from spikefleet.runner.child import describe
from spikefleet.signal.measuring.measure import measure_signal
from tests.corpus.signals import N_CHANNELS, RATE_HZ, SIGNALS, UV_PER_CODE, positions_um

FOLDER = Path(__file__).parent / "failures"
_LINES_KEPT = 60
_CPU_S = 90
Run = Callable[[Path], None]


def record(
    backend: str, cases: Mapping[str, tuple[Run, dict[str, Any]]], names: Sequence[str] = ()
) -> None:
    """Run the cases (or the named ones) and write ``failures/<backend>.json``."""
    path = FOLDER / f"{backend}.json"
    found: dict[str, Any] = read_json(path) or {}
    for name, (run, known) in cases.items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
            found[name] = neutral(_one(run, Path(folder)), Path(folder)) | _measured(known)
        document = found[name]["child_failure"]
        said = f"{document['exception_type']}: {document['message'][:90]}" if document else "no"
        sys.stdout.write(f"{backend} {name}: {said}\n")
        sys.stdout.flush()
        path.write_text(_one_case_a_line(found), encoding="utf-8")


def _one_case_a_line(found: Mapping[str, Any]) -> str:
    lines = (f" {json.dumps(n)}: {json.dumps(found[n], sort_keys=True)}" for n in sorted(found))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _one(run: Run, folder: Path) -> dict[str, Any]:
    """Fork, so that neither threads nor settings of one case reach the next."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
        with (folder / "child.log").open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.write(1, b"[spikefleet] step=sort\n")
        code = 0
        try:
            run(folder)
        except BaseException as error:  # noqa: BLE001 - whatever ends the case is what we want
            sys.stdout.flush()
            traceback.print_exc()
            document = describe(error, "sort")  # type: ignore[arg-type]
            write_json(folder / "child_failure.json", document)
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # noqa: TID251 - the forked half must not run its parent's clean-up
    _, status = os.waitpid(pid, 0)
    log = (folder / "child.log").read_text(errors="replace").replace("\r", "\n").splitlines()
    return {
        "exit_code": os.waitstatus_to_exitcode(status),
        "child_failure": read_json(folder / "child_failure.json"),
        "log": [line for line in log if line.strip()][-_LINES_KEPT:],
    }


def neutral(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the document without anything that belongs to one machine."""
    text = json.dumps(document)
    for place in site.getsitepackages():
        text = text.replace(place, "/venv/lib/python3.11/site-packages")
    text = text.replace(str(folder), "/scratch/run").replace(str(Path.cwd()), "/src")
    text = re.sub(r"/[\w./-]*/(lib/python3\.11)/", r"/usr/\1/", text) if sys.prefix else text
    text = text.replace("/usr/lib/python3.11/site-packages", "/venv/lib/python3.11/site-packages")
    text = re.sub(r"Linux-[\w.-]+", "Linux-x86_64", text)
    kept: dict[str, Any] = json.loads(text)
    return kept


def _measured(known: dict[str, Any]) -> dict[str, Any]:
    """What preflight would have known: the measurements and the parameters."""
    traces = SIGNALS[known["signal"]]()
    measured: dict[str, Any] = {"n_samples": len(traces), "n_channels": N_CHANNELS}
    if len(traces):
        recording = NumpyRecording([traces], RATE_HZ)
        recording.set_channel_gains(1.0 if traces.dtype.kind == "f" else UV_PER_CODE)
        recording.set_channel_offsets(0.0)
        measured |= measure_signal(recording).to_json()
        del measured["noise_uv"]
    places = 1 if known.get("one_place") else len(np.unique(positions_um(), axis=0))
    measured["distinct_locations"] = places
    params = known.get("sorter_params", {})
    return {"signal": known["signal"], "sorter_params": params, "preflight": measured}
