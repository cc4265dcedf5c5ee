"""Writes the Grafana dashboards of the chart: ``python scripts/dashboards [FOLDER]``.

A dashboard is a list of panels; a panel is a question with its unit, its answer's queries and the
page that says what to do. The JSON is committed; a test holds it to these files.
"""

import json
import sys
from pathlib import Path

from backend import BACKEND
from facility import FACILITY
from ingest import INGEST
from one_run import RUN

TARGET = Path(__file__).resolve().parents[2] / "charts" / "spikefleet" / "monitoring" / "dashboards"


def write(folder: Path) -> None:
    """Write every dashboard as FOLDER/NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in (FACILITY, BACKEND, INGEST, RUN):
        text = json.dumps(dashboard.to_json(), indent=1, ensure_ascii=False)
        (folder / f"{dashboard.uid}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
