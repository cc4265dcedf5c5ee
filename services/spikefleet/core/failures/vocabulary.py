"""The words failures are told in: category, disposition, run status, code. No logic."""

from __future__ import annotations

from enum import StrEnum


class FailureCategory(StrEnum):
    """Whose failure it is. The category decides the shape of the answer."""

    BIOLOGICAL = "biological"  # the tissue or the array: end the run, never retry
    INPUT = "input"  # the submitted files: end the run, tell the submitter
    ENVIRONMENT = "environment"  # the facility: hold the lane, call the operator, spend no retry
    RESOURCE = "resource"  # too little of something: retry with a change
    INTERNAL = "internal"  # ours to fix: retry once, then fail
    INFRASTRUCTURE = "infrastructure"  # the machine went away: retry the same


class Disposition(StrEnum):
    """An answer to a failure: a row's default one, and what the policy decides at last."""

    SKIP = "skip"
    RETRY_SAME = "retry_same"
    RETRY_SCALED = "retry_scaled"
    RETRY_ELSEWHERE = "retry_elsewhere"
    HOLD = "hold"
    REQUEUE = "requeue"
    FAIL = "fail"


class RunStatus(StrEnum):
    """How a recording ended, in the words of a recording's report."""

    SUCCESS = "success"
    FAILED = "failed"
    OOM_HOST_RAM = "oom_host_ram"
    OOM_GPU = "oom_gpu"
    GPU_THERMAL = "gpu_thermal"
    SORTER_TIMEOUT = "sorter_timeout"
    DISK_EXHAUSTED = "disk_exhausted"
    IO_STALL = "io_stall"
    CONCURRENT_SORT = "concurrent_sort"
    OOM_MEMORYERROR = "oom_memoryerror"
    UNSORTABLE = "unsortable"
    INPUT_ERROR = "input_error"
    ENVIRONMENT = "environment"
    CANCELLED = "cancelled"


class FailureCode(StrEnum):
    """Stable machine names. Never renamed; a new cause gets a new code."""

    INSUFFICIENT_ACTIVITY = "insufficient_activity"
    NO_GOOD_CHANNELS = "no_good_channels"
    SATURATED_SIGNAL = "saturated_signal"
    EMPTY_WAVEFORM_METRICS = "empty_waveform_metrics"
    INPUT_MISSING = "input_missing"
    INPUT_CORRUPT = "input_corrupt"
    ENVIRONMENT_OTHER = "environment_other"
    HDF5_PLUGIN_MISSING = "hdf5_plugin_missing"
    DOCKER_ENVIRONMENT = "docker_environment"
    MODEL_LOADING = "model_loading"
    CONCURRENT_SORT = "concurrent_sort"
    LICENSE_UNAVAILABLE = "license_unavailable"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INVALID_CONFIGURATION = "invalid_configuration"
    RESOURCE_OTHER = "resource_other"
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    GPU_MEMORY_WATCHDOG = "gpu_memory_watchdog"
    GPU_THERMAL_WATCHDOG = "gpu_thermal_watchdog"
    GPU_FAULT = "gpu_fault"
    HOST_MEMORY_WATCHDOG = "host_memory_watchdog"
    HOST_OUT_OF_MEMORY = "host_out_of_memory"
    DISK_EXHAUSTION = "disk_exhaustion"
    IO_STALL = "io_stall"
    SORTER_TIMEOUT = "sorter_timeout"
    SORTER_CRASH = "sorter_crash"
    PARAMETER_SENSITIVE = "parameter_sensitive"
    UNCLASSIFIED = "unclassified"
    ATTEMPT_INTERRUPTED = "attempt_interrupted"
    DISRUPTED = "disrupted"
    NEVER_STARTED = "never_started"
    LOST = "lost"
    INCOMPLETE = "incomplete"
    DEADLINE = "deadline"
