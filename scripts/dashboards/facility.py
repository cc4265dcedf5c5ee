"""Is the facility keeping up, and does anything need a person?"""

from shapes import SEEN, Dashboard, Panel, quantile

_SUCCESS = '{status="success"}'

FACILITY = Dashboard(
    "facility",
    "facility",
    "Is the facility keeping up, and does anything need a person?",
    (
        Panel(
            "Queue by reason",
            "Runs that do not move, by why: queued waits for a slot, waiting for its next try, "
            "held for an operator; of those that are started, what their pods wait for.",
            "short",
            (
                ('sum by (state) (spikefleet_runs{state=~"queued|waiting|held"})', "{{state}}"),
                (
                    'sum by (phase) (spikefleet_attempts_live{phase!="running"})',
                    "cluster: {{phase}}",
                ),
            ),
            "runbooks.md#spikefleetqueuestands",
            stacked=True,
        ),
        Panel(
            "Under way",
            "Attempts that run, by stage.",
            "short",
            (
                (
                    'sum by (stage) (spikefleet_attempts_live{phase="running"}) or vector(0)',
                    "{{stage}}",
                ),
            ),
            "dashboards.md#facility",
            stacked=True,
        ),
        Panel(
            "GPUs at work",
            "Sorts that run and hold a GPU, by sorter.",
            "short",
            (
                (
                    "sum by (backend) (spikefleet_attempts_live"
                    '{device="gpu", stage="sort", phase="running"}) or vector(0)',
                    "{{backend}}",
                ),
            ),
            "dashboards.md#facility",
        ),
        Panel(
            "Throughput against real time",
            "Recorded seconds that are sorted per second. 1 is one probe kept up with as it "
            "records.",
            "none",
            (
                (
                    "sum by (backend) (rate(spikefleet_sorted_recording_seconds_total[1h]))",
                    "{{backend}}",
                ),
            ),
            "runbooks.md#spikefleetqueueslow",
        ),
        Panel(
            "Wait for a sort",
            "From submission until the first sort runs: the median, and what nine of ten stay "
            "below.",
            "s",
            (
                (quantile(0.5, "spikefleet_queue_wait_seconds", "", "1h"), "median"),
                (quantile(0.9, "spikefleet_queue_wait_seconds", "", "1h"), "9 of 10"),
            ),
            "runbooks.md#spikefleetqueueslow",
        ),
        Panel(
            "From submission to result",
            "Time until a run ends, for runs that succeeded.",
            "s",
            tuple(
                (quantile(share, "spikefleet_run_duration_seconds", "", "6h", _SUCCESS), legend)
                for share, legend in ((0.5, "median"), (0.9, "9 of 10"))
            ),
            "dashboards.md#facility",
        ),
        Panel(
            "Runs ended",
            "Ends of runs per hour. unsortable and input_error speak of recordings, the others of "
            "us.",
            "short",
            (
                (
                    f"sum by (status) (increase(spikefleet_runs_ended_total[1h])) {SEEN}",
                    "{{status}}",
                ),
            ),
            "runbooks.md#spikefleetrunsfailing",
            stacked=True,
        ),
        Panel(
            "Failures by code and sorter",
            "Attempts that failed, per hour.",
            "short",
            (
                (
                    "sum by (code, backend) "
                    f'(increase(spikefleet_attempts_ended_total{{code!="none"}}[1h])) {SEEN}',
                    "{{code}} · {{backend}}",
                ),
            ),
            "runbooks.md#spikefleetrunsfailing",
            stacked=True,
        ),
        Panel(
            "Decisions",
            "What was done about failures, per hour: retries, skips, holds, ends.",
            "short",
            (
                (
                    "sum by (decision) "
                    f'(increase(spikefleet_attempts_ended_total{{code!="none"}}[1h])) {SEEN}',
                    "{{decision}}",
                ),
            ),
            "dashboards.md#facility",
            stacked=True,
        ),
        Panel(
            "Lanes on hold",
            "Lanes that wait for an operator; spikefleet holds says why.",
            "short",
            (("max by (lane) (spikefleet_lanes_held) > 0", "{{lane}}"),),
            "runbooks.md#spikefleetlaneheld",
            kind="table",
        ),
        Panel(
            "Since the controller looked",
            "Seconds since the controller last looked at everything; below a minute it works.",
            "s",
            (
                (
                    "time() - max(spikefleet_reconcile_last_success_timestamp_seconds)",
                    "controller",
                ),
            ),
            "runbooks.md#spikefleetcontrollersilent",
        ),
        Panel(
            "Rounds that fail",
            "Rounds of the controller that ended in an error of its own, per hour.",
            "short",
            (("sum(increase(spikefleet_reconcile_errors_total[1h])) or vector(0)", "rounds"),),
            "runbooks.md#spikefleetreconcileerrors",
        ),
    ),
)
