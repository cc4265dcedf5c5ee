"""What Kilosort 2 writes into its log before MATLAB gives up.

Its log, not its exception, knows the cause: whoever starts MATLAB only sees that it failed. Counts
in the log (crossings, bad channels, progress) are weighed in ``rules.measured.kilosort2``.
"""

from __future__ import annotations

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Rule, Source

_KS2 = ("kilosort2",)

RULES = (
    Rule(
        "kilosort2.no_good_channels",
        Source.LOG,
        FailureCode.NO_GOOD_CHANNELS,
        "No channel carries a usable signal.",
        sorter=_KS2,
        pattern=r"(?<!\d)found 0 good channels",
        marks=("found 0 good channels",),
        beside_exception=True,
        example="found 0 good channels",
    ),
    Rule(
        "kilosort2.no_templates",
        Source.LOG,
        FailureCode.INSUFFICIENT_ACTIVITY,
        "Too few spikes for the sorter to build templates from.",
        sorter=_KS2,
        pattern=r"Undefined function or variable 'W'|Unrecognized function or variable 'W'",
        marks=("function or variable 'W'",),
        beside_exception=True,
        example="----------------------------------------Undefined function or variable 'W'.",
    ),
    Rule(
        "kilosort2.numerical",
        Source.LOG,
        FailureCode.PARAMETER_SENSITIVE,
        "The sorter hit a numerical dead end that depends on its parameters.",
        sorter=_KS2,
        pattern=r"(?P<cause>EIG did not converge|Matrix dimensions must agree)",
        marks=("EIG did not converge", "Matrix dimensions must agree"),
        beside_exception=True,
        evidence={"parameter": "projection_threshold"},
        example="----------------------------------------Matrix dimensions must agree.",
    ),
    Rule(
        "kilosort2.invalid_launch",
        Source.LOG,
        FailureCode.SORTER_CRASH,
        "A GPU kernel of the sorter was started with nothing to do.",
        sorter=_KS2,
        pattern=r"invalid configuration argument",
        marks=("invalid configuration argument",),
        beside_exception=True,
        evidence={"reason": "invalid_launch"},
        example="----------------------------------------An unexpected error occurred trying to "
        "launch a kernel. The CUDA error was: invalid configuration argument",
    ),
    Rule(
        "kilosort2.gpu_fault",
        Source.LOG,
        FailureCode.GPU_FAULT,
        "The GPU reported a fault while sorting.",
        sorter=_KS2,
        pattern=r"(?P<fault>CUDA_ERROR_ILLEGAL_ADDRESS|illegal memory access|"
        r"CUDA error was:\s*(?:invalid argument|unspecified launch failure)|"
        r"^-{8,}invalid argument)",
        marks=("ILLEGAL_ADDRESS", "illegal memory access", "CUDA error was", "invalid argument"),
        beside_exception=True,
        last_lines=60,
        priority=7,
        example="----------------------------------------An unexpected error occurred during CUDA "
        "execution. The CUDA error was: invalid argument",
    ),
    Rule(
        "kilosort2.gpu_memory",
        Source.LOG,
        FailureCode.GPU_OUT_OF_MEMORY,
        "The sorter ran out of GPU memory.",
        sorter=_KS2,
        pattern=r"Out of memory on device|CUDA_ERROR_OUT_OF_MEMORY",
        marks=("Out of memory on device", "CUDA_ERROR_OUT_OF_MEMORY"),
        beside_exception=True,
        last_lines=60,
        priority=8,
        example="----------------------------------------Out of memory on device. To view more "
        "detail about available memory on the GPU, use 'gpuDevice()'.",
    ),
    Rule(
        "kilosort2.host_memory",
        Source.LOG,
        FailureCode.HOST_OUT_OF_MEMORY,
        "MATLAB ran out of memory.",
        sorter=_KS2,
        pattern=r"^-*Out of memory\.(?: Type \"?HELP MEMORY)?|java\.lang\.OutOfMemoryError",
        marks=("Out of memory.", "java.lang.OutOfMemoryError"),
        beside_exception=True,
        last_lines=60,
        priority=9,
        example='----------------------------------------Out of memory. Type "help memory" for '
        "your options.",
    ),
    Rule(
        "kilosort2.crash",
        Source.LOG,
        FailureCode.SORTER_CRASH,
        "MATLAB crashed.",
        sorter=_KS2,
        pattern=r"Segmentation violation detected|MATLAB crash file",
        marks=("Segmentation violation detected", "MATLAB crash file"),
        beside_exception=True,
        example="        Segmentation violation detected at Tue Nov 10 10:00:00 2026",
    ),
)
