"""What is one sort doing, and what do its guards see?"""

from shapes import Dashboard, Panel, guard

_R = 'run_id="$run_id"'


def _live(title: str, description: str, unit: str, query: str, legend: str, page: str) -> Panel:
    return Panel(title, description, unit, ((query, legend),), page)


RUN = Dashboard(
    "run",
    "one run",
    "What is this sort doing, and what do its guards see?",
    (
        _live("Progress", "Share of the sort that is done.", "percentunit",
              f"max(spikefleet_attempt_progress_ratio{{{_R}}})", "done", "dashboards.md#one-run"),
        _live("Step", "What it is doing now.", "short",
              f"max by (step) (spikefleet_attempt_step_info{{{_R}}})", "{{step}}",
              "dashboards.md#one-run"),
        _live("Spikes", "Spikes found so far, where the sorter tells them.", "short",
              f"max(spikefleet_attempt_spikes{{{_R}}})", "spikes", "dashboards.md#one-run"),
        _live("Elapsed", "Time since the attempt began.", "s",
              f"max(spikefleet_attempt_elapsed_seconds{{{_R}}})", "elapsed",
              "dashboards.md#one-run"),
        _live("Memory", "Share of the memory limit that is held.", "percentunit",
              guard("host_memory", "used_ratio", _R, "guard"), "held",
              "runbooks.md#spikefleetmemoryshort"),
        _live("Scratch left", "Free bytes of its scratch.", "bytes",
              guard("disk", "free_bytes", _R, "guard"), "free", "runbooks.md#spikefleetdiskshort"),
        _live("GPU memory", "Share of the GPU's memory that is held.", "percentunit",
              guard("gpu_memory", "used_ratio", _R, "guard"), "held",
              "runbooks.md#spikefleetmemoryshort"),
        _live("GPU temperature", "Of its GPU.", "celsius",
              guard("gpu_memory", "temperature_celsius", _R, "guard"), "GPU",
              "runbooks.md#spikefleetgpuhot"),
        _live("Silence", "Time since its log said anything.", "s",
              guard("log_inactivity", "silent_seconds", _R, "guard"), "silent",
              "dashboards.md#one-run"),
        _live("Guards that see", "1 for a guard that can read its signal.", "short",
              f"max by (guard) (spikefleet_guard_readable{{{_R}}})", "{{guard}}",
              "runbooks.md#spikefleetguardblind"),
        _live("The machine's own checks", "What they noticed before the sort.", "short",
              f"max by (level, finding) (spikefleet_attempt_node_finding_info{{{_R}}})",
              "{{level}} {{finding}}", "runbooks.md#spikefleetmachinefinding"),
        _live("Trial on a window", "How the trial before the sort went.", "short",
              f"max by (state) (spikefleet_attempt_canary_info{{{_R}}})", "{{state}}",
              "dashboards.md#one-run"),
    ),
    (("run_id", "label_values(spikefleet_attempt_elapsed_seconds, run_id)"),),
)  # fmt: skip
