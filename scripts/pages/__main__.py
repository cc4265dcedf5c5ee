"""Writes the pages that are rendered from the code's tables: ``python -m scripts.pages [FOLDER]``.

FOLDER is a checkout; this one by default. What is written is committed, so that a reader needs no
program; a test holds it to the tables.
"""

import sys
from pathlib import Path

from scripts.pages.configuration import render_configuration, render_schema
from scripts.pages.failures import render_failures, render_proto
from scripts.pages.findings import render_findings
from scripts.pages.labels import render_labels
from scripts.pages.metrics import render_metrics
from scripts.pages.report import render_report_schema

ROOT = Path(__file__).resolve().parents[2]
PROTO = "protos/spikefleet/api/v1/failure.proto"
PAGES = {
    "docs/configuration.md": render_configuration,
    "docs/schema/recording-report.schema.json": render_report_schema,
    "docs/schema/sorting-config.schema.json": render_schema,
    "docs/failures.md": render_failures,
    "docs/labels.md": render_labels,
    "docs/preflight.md": render_findings,
    "docs/metrics.md": render_metrics,
}


def write(folder: Path) -> None:
    """Write every page, and the comments of the enum in the proto, below a checkout's folder."""
    proto = (ROOT / PROTO).read_text(encoding="utf-8")
    texts = {name: render() for name, render in PAGES.items()} | {PROTO: render_proto(proto)}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
