"""Does a sorter get what it needs, and do its guards and projections hold?"""

from shapes import SEEN, Dashboard, Panel, guard, quantile, threshold

_B = 'backend=~"$backend"'
BACKEND = Dashboard(
    "backend",
    "backend health",
    "Does a sorter get what it needs, and do its guards and projections hold?",
    (
        Panel(
            "GPU memory",
            "Share of the GPU's memory that the sort holds, and where its guard ends it.",
            "percentunit",
            (
                (guard("gpu_memory", "used_ratio", _B), "{{run_id}}"),
                (threshold("gpu_memory", "abort_ratio", _B), "ends at"),
            ),
            "runbooks.md#spikefleetmemoryshort",
        ),
        Panel(
            "GPU temperature",
            "Of the GPU of each running sort, and where its guard ends the sort.",
            "celsius",
            (
                (guard("gpu_memory", "temperature_celsius", _B), "{{run_id}}"),
                (threshold("gpu_memory", "abort_celsius", _B), "ends at"),
            ),
            "runbooks.md#spikefleetgpuhot",
        ),
        Panel(
            "GPU at work",
            "Share of the time in which the GPU computes.",
            "percentunit",
            ((guard("gpu_memory", "utilization_ratio", _B), "{{run_id}}"),),
            "dashboards.md#backend-health",
        ),
        Panel(
            "Memory",
            "Share of the memory limit that the sort holds, file cache not counted.",
            "percentunit",
            (
                (guard("host_memory", "used_ratio", _B), "{{run_id}}"),
                (threshold("host_memory", "abort_ratio", _B), "ends at"),
            ),
            "runbooks.md#spikefleetmemoryshort",
        ),
        Panel(
            "Scratch left",
            "Free bytes of each sort's scratch.",
            "bytes",
            ((guard("disk", "free_bytes", _B), "{{run_id}}"),),
            "runbooks.md#spikefleetdiskshort",
        ),
        Panel(
            "Guards that warn",
            "Warnings of guards of running sorts, per hour.",
            "short",
            (
                (
                    f"sum by (guard) (increase(spikefleet_guard_warnings_total{{{_B}}}[1h])) "
                    f"{SEEN}",
                    "{{guard}}",
                ),
            ),
            "dashboards.md#backend-health",
        ),
        Panel(
            "Guards that stopped a sort",
            "Attempts that ended by a guard, per hour, as the controller records them.",
            "short",
            (
                (
                    "sum by (code) (increase(spikefleet_attempts_ended_total{"
                    'code=~".*_watchdog|disk_exhaustion|io_stall|sorter_timeout", '
                    f"{_B}}}[1h])) {SEEN}",
                    "{{code}}",
                ),
            ),
            "runbooks.md#spikefleetmemoryshort",
        ),
        Panel(
            "Guards that can only advise",
            "Guards of running sorts that cannot judge, and why.",
            "short",
            (
                (
                    f"max by (guard, reason) (spikefleet_guard_advisory{{{_B}}}) > 0",
                    "{{guard}}: {{reason}}",
                ),
            ),
            "runbooks.md#spikefleetguardblind",
            kind="table",
        ),
        Panel(
            "Retries by cause",
            "Attempts that are tried again, per hour, by the failure that ended them.",
            "short",
            (
                (
                    "sum by (code) (increase(spikefleet_attempts_ended_total{"
                    f'decision=~"retry.*", {_B}}}[1h])) {SEEN}',
                    "{{code}}",
                ),
            ),
            "runbooks.md#spikefleetattemptstakenaway",
            stacked=True,
        ),
        Panel(
            "Projected over used",
            "The median of what was projected over what a sort used: below 1 too little was "
            "projected.",
            "none",
            (
                (
                    quantile(0.5, "spikefleet_projection_ratio", "resource", "1d", f"{{{_B}}}"),
                    "{{resource}}",
                ),
            ),
            "runbooks.md#spikefleetprojectionlow",
        ),
        Panel(
            "Time by stage",
            "The median time of an attempt, by stage.",
            "s",
            (
                (
                    quantile(0.5, "spikefleet_stage_duration_seconds", "stage", "6h", f"{{{_B}}}"),
                    "{{stage}}",
                ),
            ),
            "dashboards.md#backend-health",
        ),
        Panel(
            "What machines find wrong with themselves",
            "Findings of the checks before a sort, per hour.",
            "short",
            (
                (
                    "sum by (level, finding) "
                    f"(increase(spikefleet_node_findings_total{{{_B}}}[1h])) {SEEN}",
                    "{{level}} {{finding}}",
                ),
            ),
            "runbooks.md#spikefleetmachinefinding",
        ),
    ),
    (("backend", "label_values(spikefleet_attempts_ended_total, backend)"),),
)
