"""The corpus as evidence: what a case left, read as the service reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.failures.classify import LOG_MARKS, Evidence, read_log

FOLDER = Path(__file__).parent / "failures"
BACKENDS = ("kilosort4", "lupin", "spykingcircus2", "tridesclous2", "mountainsort5")


@dataclass(frozen=True)
class Case:
    """One end of an attempt and what it must be called."""

    name: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]


def recorded() -> list[Case]:
    """Return the recorded ends of real sorts that failed."""
    expected = json.loads((FOLDER / "expected.json").read_text())
    found = []
    for backend in BACKENDS:
        document = json.loads((FOLDER / f"{backend}.json").read_text())
        for name, given in document.items():
            if given["exit_code"] != 0:
                expect = expected[backend][name]
                found.append(Case(f"{backend}: {name}", {**given, "backend": backend}, expect))
    return found


def told() -> list[Case]:
    """Return ends known by their messages and logs, mixed logs included."""
    return [Case(**entry) for entry in json.loads((FOLDER / "told.json").read_text())]


def evidence(case: Case, folder: Path, *, with_document: bool = True) -> Evidence:
    """Return the case as evidence; its log goes through a file, as a real one does."""
    given = case.given
    log = folder / "child.log"
    if "log_file" in given:
        log.write_bytes((FOLDER / "mixed" / given["log_file"]).read_bytes())
    else:
        log.write_text("".join(f"{line}\n" for line in given.get("log", ())), encoding="utf-8")
    document = given.get("child_failure")
    if "exception_type" in given:
        module, _, name = given["exception_type"].rpartition(".")
        document = {
            "exception_type": name,
            "module": module or "builtins",
            "message": given["message"],
        }
    params = given.get("sorter_params", {})
    number = given.get("signal")
    number = number if isinstance(number, int) else None  # of a recorded case: the signal's name
    read = read_log(log, LOG_MARKS)
    return Evidence(
        given["backend"],
        step=given.get("step", "sort"),
        exit_code=given.get("exit_code", None if number else 1),
        signal=number,
        child_failure=document if with_document else None,
        log_tail=read.tail,
        log_head=read.head,
        log_scan=read.scan,
        log_unread_bytes=read.unread_bytes,
        oom_kill_delta=given.get("oom_kill_delta"),
        preflight={**given.get("preflight", {}), "sorter_params": params},
    )
