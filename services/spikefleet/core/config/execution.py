"""How an attempt is run and guarded: cores, memory, guards, retries, logs.

Only ``random_seed`` can change a spike; everything else decides whether and how fast the sort ends.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spikefleet.core.config.group import (
    ConfigGroup,
    Count,
    NonNegative,
    Percent,
    Positive,
    PositiveCount,
    conflict,
)
from spikefleet.core.text import GIB


class ExecutionConfig(ConfigGroup):
    """Run control and guards. Free space is GiB, memory shares are per cent of the limit."""

    n_jobs: PositiveCount = Field(
        default=8, description="Parallel workers (count); never more than the attempt's cores."
    )
    use_parallel_processing_for_raw_conversion: bool = Field(
        default=True,
        description="Write the sorter's copy with n_jobs workers; false: one.",
    )
    random_seed: Count = Field(
        default=1,
        description="Seed of everything random in one run; runs do not share a generator.",
    )
    recompute_sorting: bool = Field(
        default=False,
        description="Sort again even when a finished sort of the same recording and parameters "
        "exists.",
    )
    delete_inter: bool = Field(
        default=True,
        description="Remove the attempt's scratch folder once its results are stored; false: keep "
        "it for inspection.",
    )
    host_ram_watchdog: bool = Field(default=True, description="Watch memory during the sort.")
    host_ram_warn_pct: Percent = Field(
        default=85.0, description="Memory use that warns (% of the limit)."
    )
    host_ram_abort_pct: Percent = Field(
        default=92.0,
        description="Memory use that stops the sorter (% of the limit); page cache does not count.",
    )
    host_ram_poll_interval_s: Positive = Field(
        default=2.0, description="Time between readings (s)."
    )
    preflight: bool = Field(
        default=True, description="Check recording and machine before the sort."
    )
    preflight_strict: bool = Field(
        default=False, description="Treat preflight's warnings as failures of the run."
    )
    preflight_min_free_inter_gb: NonNegative = Field(
        default=20.0, description="Free scratch space below which preflight warns (GiB)."
    )
    preflight_min_free_results_gb: NonNegative = Field(
        default=2.0, description="Free space for results below which preflight warns (GiB)."
    )
    preflight_min_available_ram_gb: NonNegative = Field(
        default=4.0, description="Available memory below which preflight warns (GiB)."
    )
    preflight_min_free_vram_gb: NonNegative = Field(
        default=2.0, description="Free GPU memory below which preflight warns (GiB)."
    )
    sorter_inactivity_timeout: bool = Field(
        default=True,
        description="Stop a sorter that writes nothing for too long, where it is not known to "
        "compute in silence.",
    )
    sorter_inactivity_base_s: Positive = Field(
        default=600.0, description="Silence allowed for any recording (s)."
    )
    sorter_inactivity_per_min_s: NonNegative = Field(
        default=30.0,
        description="Silence allowed in addition for each minute recorded (s per min).",
    )
    sorter_inactivity_max_s: Positive = Field(
        default=7200.0, description="Silence never allowed to be longer than this (s)."
    )
    allow_result_affecting: bool = Field(
        default=False,
        description="Let a retry change sorter parameters that can change spikes (the sorter's "
        "parameter ladder); such a result is stamped. Smaller batches after GPU memory ran out "
        "need only oom_retry_max.",
    )
    oom_retry_max: Count = Field(
        default=1,
        description="Retries with smaller batches after the GPU's memory ran out (count). Smaller "
        "batches can change spikes, so such a retry is stamped; 0: never.",
    )
    oom_retry_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5,
        description="Batch size of such a retry relative to the attempt before (ratio).",
    )
    canary_first_n_s: NonNegative = Field(
        default=0.0,
        description="Sort an active window of this length first as a trial (s), longer where the "
        "sorter needs two of the batches it learns from; 0: no trial. Only a broken environment "
        "keeps the sort from starting.",
    )
    canary_min_recording_s: NonNegative = Field(
        default=120.0, description="No trial where less than this is sorted (s)."
    )
    docker_image_expected_digest: str | None = Field(
        default=None, description="Digest the sorter's image must have; null: any."
    )
    disk_watchdog: bool = Field(
        default=True, description="Watch free scratch space during the sort."
    )
    disk_warn_free_gb: NonNegative = Field(default=5.0, description="Free space that warns (GiB).")
    disk_abort_free_gb: NonNegative = Field(
        default=1.0, description="Free space that stops the sorter (GiB)."
    )
    disk_poll_interval_s: Positive = Field(default=10.0, description="Time between readings (s).")
    io_stall_watchdog: bool = Field(
        default=True, description="Watch the sorter's reads and writes."
    )
    io_stall_s: Positive = Field(
        default=300.0,
        description="Time without a byte read or written, while something waits for the disk, "
        "that stops the sorter (s).",
    )
    io_stall_poll_interval_s: Positive = Field(
        default=10.0, description="Time between readings (s)."
    )
    io_stall_mode: Literal["process", "device"] = Field(
        default="process",
        description="Count the bytes of the sorter's processes or of the scratch folder's device; "
        "where it has none, the processes' count.",
    )
    io_stall_include_descendants: bool = Field(
        default=True, description="Count the bytes of the sorter's child processes too."
    )
    gpu_watchdog: bool = Field(default=True, description="Watch the GPU's memory and temperature.")
    gpu_warn_pct: Percent = Field(
        default=85.0, description="GPU memory use that warns (%); on a shared GPU only our own."
    )
    gpu_abort_pct: Percent = Field(
        default=95.0,
        description="GPU memory use that stops the sorter when it stays (%); on a shared GPU only "
        "our own.",
    )
    gpu_poll_interval_s: Positive = Field(default=2.0, description="Time between readings (s).")
    gpu_warn_temp_c: Positive = Field(default=85.0, description="GPU temperature that warns (°C).")
    gpu_abort_temp_c: Positive = Field(
        default=92.0, description="GPU temperature that stops the sorter (°C)."
    )
    gpu_monitor_throttle_reasons: bool = Field(
        default=True, description="Warn when the GPU slows itself down; never stops the sorter."
    )
    generate_sorting_report: bool = Field(
        default=True,
        description="Write the Markdown and HTML report; the JSON record is always written.",
    )

    @model_validator(mode="after")
    def _warn_before_abort(self) -> ExecutionConfig:
        rising = (
            ("host_ram_warn_pct", "host_ram_abort_pct"),
            ("gpu_warn_pct", "gpu_abort_pct"),
            ("gpu_warn_temp_c", "gpu_abort_temp_c"),
            ("disk_abort_free_gb", "disk_warn_free_gb"),
        )
        for low, high in rising:
            if getattr(self, low) >= getattr(self, high):
                raise conflict(
                    f"execution.{low}",
                    f"{low} ({getattr(self, low):g}) must be below "
                    f"{high} ({getattr(self, high):g})",
                )
        if self.sorter_inactivity_base_s > self.sorter_inactivity_max_s:
            raise conflict(
                "execution.sorter_inactivity_base_s",
                f"sorter_inactivity_base_s ({self.sorter_inactivity_base_s:g}) must not be above "
                f"sorter_inactivity_max_s ({self.sorter_inactivity_max_s:g})",
            )
        return self


def limit_bytes(execution: ExecutionConfig, name: str) -> float:
    """Return a limit of the group that is given in GiB."""
    return float(getattr(execution, name)) * GIB
