"""One function per sorter: the exception and the folder of its logs in, a classified error out.

For code that runs a sorter itself, in a notebook or a script. The service does the same from the
documents that its child processes leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikefleet.core.failures.classify import LOG_MARKS, Evidence, classify, read_log
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.failures.reading.exception_chain import to_document


def classify_ks2_failure(
    folder: Path, error: BaseException, measured: Mapping[str, Any] | None = None
) -> SpikeSortingClassifiedError | None:
    """Return what ended a Kilosort 2 sort, or None when it is not known.

    ``folder`` is the sort's output folder; ``measured`` are preflight's measurements of the signal
    (``SignalMeasurements.to_json``), without which silence and bad gain look alike. A classified
    error is returned as it is.
    """
    return _classify("kilosort2", folder, error, measured)


def classify_ks4_failure(
    folder: Path, error: BaseException, measured: Mapping[str, Any] | None = None
) -> SpikeSortingClassifiedError | None:
    """Return what ended a Kilosort 4 sort, or None; see ``classify_ks2_failure``."""
    return _classify("kilosort4", folder, error, measured)


def classify_rt_sort_failure(
    folder: Path, error: BaseException, measured: Mapping[str, Any] | None = None
) -> SpikeSortingClassifiedError | None:
    """Return what ended an RT-Sort run, or None; see ``classify_ks2_failure``."""
    return _classify("rt_sort", folder, error, measured)


def classify_sorter_failure(
    backend: str, folder: Path, error: BaseException, measured: Mapping[str, Any] | None = None
) -> SpikeSortingClassifiedError | None:
    """Return what ended a sort of any backend, or None; see ``classify_ks2_failure``."""
    return _classify(backend, folder, error, measured)


def _classify(
    backend: str, folder: Path, error: BaseException, measured: Mapping[str, Any] | None
) -> SpikeSortingClassifiedError | None:
    if isinstance(error, SpikeSortingClassifiedError):
        return error
    log = _log_of(backend, folder)
    read = read_log(log, LOG_MARKS)
    failure = classify(
        Evidence(
            backend,
            step="sort",
            exit_code=1,
            child_failure=to_document(error),
            log_tail=read.tail,
            log_head=read.head,
            log_scan=read.scan,
            log_unread_bytes=read.unread_bytes,
            preflight=measured or {},
        )
    )
    if failure.code is FailureCode.UNCLASSIFIED:
        return None
    return _with_log(failure, log).to_error()


def _log_of(backend: str, folder: Path) -> Path | None:
    name = f"{backend}.log"
    places = (folder / name, folder / "sorter_output" / name)
    return next((place for place in places if place.is_file()), None)


def _with_log(failure: Failure, log: Path | None) -> Failure:
    evidence = {**failure.evidence, **({"log_path": str(log)} if log else {})}
    return replace(failure, stage="sort", evidence=evidence)
