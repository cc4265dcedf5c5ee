"""Names from outside in a real browser: no script runs, nothing is loaded, no page grows wide."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from tests.integration.test_report_page import CHROMIUM, browse, console_lines
from tests.support.confined import curate_sort, write_from
from tests.support.sorted_runs import (
    CURATION,
    REPORT,
    SORT,
    make_run_record,
    publish_sort,
    write_sort,
)

from spikefleet.client.overview import OverviewLine, to_html
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.rooms.curation import CurationTask
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)
RUN = "document.title='hacked'"
NAMES = (
    f"<script>{RUN}</script>",
    f'"><img src=x onerror="{RUN}">',
    f"'-{RUN}-'",
    '=HYPERLINK("http://127.0.0.1:9/")',
    "\N{RIGHT-TO-LEFT OVERRIDE}fdp.exe",
)
LONG = "w" * 180
EXTREME = {
    "create_figures": True,
    "create_unit_figures": True,
    "bar_y_label": "$\\frac{",
    "bar_label_rotation": 1e9,
    "font_size": 400,
    "dpi": 5000,
    "templates_y_lim_buffer": 1e300,
    "scatter_x_label": NAMES[0],
    "scatter_x_max_buffer": 1e300,
    "scatter_y_max_buffer": 1e300,
    "templates_y_spacing": 1e-9,
    "templates_per_column": 1,
    "templates_window_ms_before": 1e9,
}
WIDTH = (
    "<script>document.body.dataset.wide = document.documentElement.scrollWidth > "
    "document.documentElement.clientWidth + 1;</script></body>"
)


def looked_at(page: Path, folder: Path) -> str:
    """The page as a browser has it; no script of a name has run and nothing was refused."""
    shown = folder / "shown.html"
    shown.write_text(page.read_text().replace("</body>", WIDTH))
    dom, log = browse(shown, folder / "p", "--dump-dom", "--window-size=390,900")
    assert console_lines(log) == []
    assert "<title>hacked" not in dom
    assert 'data-wide="false"' in dom
    return dom


def test_names_in_an_overview_stay_words(tmp_path: Path) -> None:
    lines = [
        OverviewLine(
            stream=name,
            run_id="run-0123456789abcdef",
            recording=name,
            backend="lupin",
            outcome="failed",
            n_curated=None,
            n_sorted=None,
            cause=f"{name} {LONG}",
            next_step=name,
        )
        for name in (*NAMES, LONG)
    ]
    page = tmp_path / "overview.html"
    page.write_text(to_html(lines, NAMES[0] + LONG))
    dom, log = browse(page, tmp_path / "p", "--dump-dom", "--window-size=390,900")
    assert console_lines(log) == []  # its policy runs no script at all
    assert "<title>hacked" not in dom
    assert not re.search("<(script|img)", dom)
    assert "The table is wider than the screen" in dom


def test_names_of_units_recording_and_curation_in_a_report_stay_words(tmp_path: Path) -> None:
    (tmp_path / "sort").mkdir()
    (tmp_path / "page").mkdir()
    write_sort(tmp_path / "sort", NAMES)
    store = LocalArtifacts(tmp_path / "artifacts")
    publish_sort(store, tmp_path / "sort")
    task = CurationTask(SORT, CURATION, CurationConfig(snr_min=None), WaveformConfig())
    assert curate_sort(store, task).failure is None
    record = make_run_record()
    record["run"]["recording_name"] = record["run"]["submitter"] = NAMES[1] + LONG
    record["curation_name"] = NAMES[0]
    record["config"] = {**record.get("config", {}), "figures": EXTREME}
    write_from(store, ReportTask(record, REPORT, SORT, CURATION), tmp_path / "page")
    page = tmp_path / "page" / "report.html"
    told = json.loads((tmp_path / "page" / "recording_report.json").read_text())
    assert [note for note in told["notes"] if note.startswith("No figures")] == []
    dom = looked_at(page, tmp_path)
    assert html.escape(NAMES[0], quote=False) in dom
    assert page.stat().st_size < 10_000_000
    pictures = list((tmp_path / "page" / "figures").glob("*.png"))
    assert len(pictures) == 3
    assert all(picture.stat().st_size < 2_000_000 for picture in pictures)
    (unit,) = (tmp_path / "page" / "units").glob("script-*.html")
    dom, log = browse(unit, tmp_path / "p", "--dump-dom")
    assert console_lines(log) == []  # its policy runs no script at all
    assert "<title>hacked" not in dom
