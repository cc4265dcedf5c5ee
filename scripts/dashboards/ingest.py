"""Do recordings come in, and are callers answered?"""

from shapes import SEEN, Dashboard, Panel, quantile

_I = 'service=~".*IngestService"'
INGEST = Dashboard(
    "ingest",
    "ingest",
    "Do recordings come in, and are callers answered?",
    (
        Panel(
            "Coming in",
            "Bytes per second, by the way they come.",
            "Bps",
            (
                (
                    "sum by (path) (rate(spikefleet_ingested_bytes_total[5m])) or vector(0)",
                    "{{path}}",
                ),
            ),
            "dashboards.md#ingest",
        ),
        Panel(
            "In a day",
            "Bytes that came in within 24 hours.",
            "bytes",
            (("sum(increase(spikefleet_ingested_bytes_total[1d])) or vector(0)", "24 h"),),
            "dashboards.md#ingest",
            kind="stat",
        ),
        Panel(
            "Uploads open",
            "Uploads that are not complete.",
            "short",
            (("sum(spikefleet_uploads_open)", "open"),),
            "runbooks.md#spikefleetuploadsleft",
        ),
        Panel(
            "Calls",
            "Calls of rigs per second, by method.",
            "reqps",
            (
                (
                    f"sum by (method) (rate(spikefleet_rpc_started_total{{{_I}}}[5m])) {SEEN}",
                    "{{method}}",
                ),
            ),
            "dashboards.md#ingest",
        ),
        Panel(
            "Answers that are not OK",
            "Calls per second that ended otherwise, by code.",
            "reqps",
            (
                (
                    "sum by (code) (rate(spikefleet_rpc_handled_total{"
                    f'code!="OK", {_I}}}[5m])) {SEEN}',
                    "{{code}}",
                ),
            ),
            "runbooks.md#spikefleetcallsfailing",
        ),
        Panel(
            "Time of a call",
            "What 99 of 100 calls stay below, by method.",
            "s",
            ((quantile(0.99, "spikefleet_rpc_duration_seconds", "method", "5m", f"{{{_I}}}"),
              "{{method}}"),),
            "dashboards.md#ingest",
        ),
    ),
)  # fmt: skip
