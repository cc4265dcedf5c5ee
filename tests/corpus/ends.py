"""Ends of attempts whose evidence says two things at once, and what each must be called."""

from __future__ import annotations

from typing import Any

from spikefleet.core.failures.classify import Evidence, classify
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.reading.exception_chain import to_document

F = FailureCode
MATLAB = "Kilosort2 failed with non-zero exit code: 1"
SILENT = (
    "Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by TruncatedSVD"
)
LAUNCH = "-" * 40 + "The CUDA error was: invalid configuration argument"
SPARSE = ("found 12 threshold crossings in 100.00 seconds of data", LAUNCH)
GPU = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"
DISK = "OSError: [Errno 28] No space left on device"
FILTER = "Can't synchronously read data (required filter 'mcs' is not registered)"


def lines(*text: str) -> str:
    """A log of these lines."""
    return "".join(f"{line}\n" for line in text)


def chain(
    own: BaseException, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    """An exception whose cause or context was set and never raised."""
    if cause is not None:
        own.__cause__ = cause
    own.__context__ = context
    return own


def end(
    backend: str = "kilosort2", error: BaseException | None = None, log: str = "", **more: Any
) -> Failure:
    """How an attempt is judged that left this exception and this log."""
    document = to_document(error) if error is not None else None
    known: dict[str, Any] = {"exit_code": 1, "preflight": {"n_channels": 974}, **more}
    return classify(Evidence(backend, child_failure=document, log_tail=log, **known))


BAD = lines("Time 0s. Determining good channels..", "found 974 bad channels")
# What ended, and what it must be called.
ENDS: dict[str, tuple[Failure, FailureCode]] = {
    "every channel was found bad": (end(log=BAD), F.NO_GOOD_CHANNELS),
    "every channel was found bad, MATLAB failed": (
        end(error=RuntimeError(MATLAB), log=BAD),
        F.NO_GOOD_CHANNELS,
    ),
    "every channel was found bad, then a crash": (
        end(log=BAD, exit_code=None, signal=11),
        F.NO_GOOD_CHANNELS,
    ),
    "one channel was good": (end(log=BAD, preflight={"n_channels": 975}), F.UNCLASSIFIED),
    "no licence, MATLAB failed": (
        end(error=Exception(MATLAB), log=lines("License checkout failed.")),
        F.LICENSE_UNAVAILABLE,
    ),
    "no disk, MATLAB failed": (end(error=RuntimeError(MATLAB), log=lines(DISK)), F.DISK_EXHAUSTION),
    "no GPU memory, MATLAB failed": (
        end(error=RuntimeError(MATLAB), log=lines("Out of memory on device.")),
        F.GPU_OUT_OF_MEMORY,
    ),
    "no memory, MATLAB failed": (
        end(error=RuntimeError(MATLAB), log=lines("what():  std::bad_alloc")),
        F.HOST_OUT_OF_MEMORY,
    ),
    "no library, MATLAB failed": (
        end(
            error=RuntimeError(MATLAB),
            log=lines("ks2: error while loading shared libraries: libz.so: cannot open"),
        ),
        F.ENVIRONMENT_OTHER,
    ),
    "sparse, and no GPU memory": (end(log=lines(GPU, *SPARSE)), F.GPU_OUT_OF_MEMORY),
    "sparse, and no disk": (
        end(error=RuntimeError(MATLAB), log=lines(DISK, *SPARSE)),
        F.DISK_EXHAUSTION,
    ),
    "sparse, and nothing else": (end(log=lines(*SPARSE)), F.INSUFFICIENT_ACTIVITY),
    "a filter under a silent end": (
        end("kilosort4", chain(ValueError(SILENT), context=OSError(FILTER))),
        F.HDF5_PLUGIN_MISSING,
    ),
    "a filter over a silent end": (
        end("kilosort4", chain(OSError(FILTER), context=ValueError(SILENT))),
        F.HDF5_PLUGIN_MISSING,
    ),
    "a silent end, and no disk in the log": (
        end("kilosort4", ValueError(SILENT), lines(DISK)),
        F.DISK_EXHAUSTION,
    ),
    "a silent end after a cache that was not there": (
        end("kilosort4", chain(ValueError(SILENT), context=FileNotFoundError(2, "no", "/cache"))),
        F.INSUFFICIENT_ACTIVITY,
    ),
    "a cause that was set and never raised": (
        end("lupin", chain(KeyError("x"), cause=OSError(28, "No space left on device"))),
        F.DISK_EXHAUSTION,
    ),
    "one of several errors at once": (
        end("lupin", ExceptionGroup("workers", [KeyError("x"), MemoryError()])),
        F.HOST_OUT_OF_MEMORY,
    ),
    "killed, and the kernel counted nothing": (
        end("lupin", log=lines("Killed"), exit_code=137, oom_kill_delta=0),
        F.SORTER_CRASH,
    ),
    "killed, and nobody counts": (end("lupin", log="Killed\n", exit_code=137), F.SORTER_CRASH),
    "killed, and the kernel says why": (
        end("lupin", log="Out of memory: Killed process 7 (python)\n", exit_code=1),
        F.HOST_OUT_OF_MEMORY,
    ),
}
