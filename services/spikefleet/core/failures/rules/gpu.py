"""GPU failures as torch, CUDA and the drivers word them."""

from __future__ import annotations

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Rule, Source

_OOM = "The sorter ran out of GPU memory."
_FAULT = "The GPU reported a fault while sorting."
_NO_GPU = "The machine or image offers the sorter no usable GPU."

_OOM_TEXT = (
    r"CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|"
    r"cudaErrorMemoryAllocation|Out of memory on device|CUBLAS_STATUS_ALLOC_FAILED|"
    r"CUDNN_STATUS_NOT_INITIALIZED|CUDNN_STATUS_ALLOC_FAILED|HIP out of memory"
)
_FAULT_TEXT = (
    r"illegal memory access|CUDA_ERROR_ILLEGAL_ADDRESS|misaligned address|"
    r"unspecified launch failure|device-side assert|uncorrectable ECC|CUDA_ERROR_LAUNCH_FAILED|"
    r"GPU is lost|fallen off the bus|CUBLAS_STATUS_EXECUTION_FAILED|"
    r"CUDA error(?: was)?: invalid argument|CUDA_ERROR_INVALID_VALUE|NVRM: Xid"
)
_NO_GPU_TEXT = (
    r"Torch not compiled with CUDA enabled|No CUDA GPUs are available|no CUDA-capable device|"
    r"no kernel image is available|Found no NVIDIA driver|driver version is insufficient|"
    r"NVIDIA driver on your system is too old|CUDA unknown error|libcuda\.so|"
    r"forward compatibility was attempted"
)

# Literal beginnings of the texts above, for logs.
_OOM_MARKS = ("ut of memory", "OUT_OF_MEMORY", "MemoryAllocation", "ALLOC_FAILED", "CUDNN_STATUS")
_FAULT_MARKS = (
    "memory access",
    "ILLEGAL_ADDRESS",
    "misaligned address",
    "launch failure",
    "device-side assert",
    "ncorrectable ECC",
    "LAUNCH_FAILED",
    "GPU is lost",
    "fallen off",
    "EXECUTION_FAILED",
    "invalid argument",
    "NVRM: Xid",
)

RULES = (
    Rule(
        "gpu.out_of_memory.type",
        Source.TYPE,
        FailureCode.GPU_OUT_OF_MEMORY,
        _OOM,
        exception=r"(torch|cupy)[\w.]*\.OutOfMemoryError$",
        pattern=r"(?s)(?:.*Tried to allocate (?P<requested_size>[\d.]+ \w+))?"
        r"(?:.*total capacity of (?P<capacity_size>[\d.]+ \w+))?"
        r"(?:.* of which (?P<free_size>[\d.]+ \w+) is free)?",
        priority=10,
        example="CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
        "79.15 GiB of which 1.25 GiB is free.",
        example_type="torch.OutOfMemoryError",
    ),
    Rule(
        "gpu.out_of_memory",
        Source.MESSAGE,
        FailureCode.GPU_OUT_OF_MEMORY,
        _OOM,
        pattern=_OOM_TEXT,
        priority=10,
        example="CUDA error: out of memory",
        example_type="RuntimeError",
    ),
    Rule(
        "gpu.fault",
        Source.MESSAGE,
        FailureCode.GPU_FAULT,
        _FAULT,
        pattern=rf"(?P<fault>{_FAULT_TEXT})",
        priority=11,
        example="CUDA error: an illegal memory access was encountered",
        example_type="torch.AcceleratorError",
    ),
    Rule(
        "gpu.not_usable",
        Source.MESSAGE,
        FailureCode.ENVIRONMENT_OTHER,
        _NO_GPU,
        pattern=rf"(?P<reason>{_NO_GPU_TEXT})",
        priority=5,
        example="Torch not compiled with CUDA enabled",
        example_type="AssertionError",
    ),
    Rule(
        "gpu.out_of_memory.log",
        Source.LOG,
        FailureCode.GPU_OUT_OF_MEMORY,
        _OOM,
        pattern=_OOM_TEXT,
        priority=10,
        marks=_OOM_MARKS,
        last_lines=60,
        example="RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`",
    ),
    Rule(
        "gpu.fault.log",
        Source.LOG,
        FailureCode.GPU_FAULT,
        _FAULT,
        pattern=rf"(?P<fault>{_FAULT_TEXT})",
        priority=11,
        marks=_FAULT_MARKS,
        last_lines=60,
        example="  what():  CUDA error: an illegal memory access was encountered",
    ),
)
