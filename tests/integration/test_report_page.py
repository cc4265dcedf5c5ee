"""The report's page in a real browser: it loads without a console error and shows what matters."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from tests.support.confined import curate_sort, write_from
from tests.support.sorted_runs import (
    CURATION,
    REPORT,
    SORT,
    make_run_record,
    make_unsortable_record,
    publish_sort,
    write_sort,
)

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.rooms.curation import CurationTask
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=3000",
)
SIGNS = """<script>
document.body.dataset.signs = [...document.querySelectorAll("figure")].map((figure) =>
  figure.scrollWidth <= figure.clientWidth + 1 ? "fits"
    : getComputedStyle(figure, "::before").content.includes("Scroll") ? "says it scrolls"
    : "scrolls silently").join(",");
</script></body>"""
CLICK = (
    "<script>addEventListener('load', () => {"
    "document.querySelectorAll('#units th button')[1].click();"
    "document.getElementById('all').click();});</script></body>"
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)


def browse(page, profile, *flags) -> tuple[str, str]:
    """Return (what the browser printed, its log) of one page."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


def console_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A folder each for a run that succeeded and one that was unsortable."""
    root = tmp_path_factory.mktemp("reports")
    for name in ("sort", "good", "bad"):
        (root / name).mkdir()
    write_sort(root / "sort")
    store = LocalArtifacts(root / "artifacts")
    publish_sort(store, root / "sort")
    curate_sort(store, CurationTask(SORT, CURATION, CurationConfig(snr_min=8.0), WaveformConfig()))
    good = ReportTask(make_run_record(), REPORT, SORT, CURATION)
    write_from(store, good, root / "good")
    write_from(store, ReportTask(make_unsortable_record(), REPORT), root / "bad")
    return root


@pytest.mark.parametrize("name", ["good", "bad"])
def test_page_loads_without_a_console_message_and_can_be_drawn(reports, tmp_path, name):
    picture = tmp_path / "page.png"
    page = reports / name / "report.html"
    _, log = browse(page, tmp_path / "p", f"--screenshot={picture}", "--window-size=1200,2600")
    assert console_lines(log) == []
    assert picture.stat().st_size > 40_000


def test_console_messages_would_be_seen(reports, tmp_path):
    page = tmp_path / "broken.html"
    text = (reports / "bad" / "report.html").read_text()
    page.write_text(text.replace("</body>", "<img src='https://example.org/x.png'></body>"))
    _, log = browse(page, tmp_path / "p", "--dump-dom")
    assert any("Content Security Policy" in line for line in console_lines(log))


def test_units_sort_and_rejected_ones_hide(reports, tmp_path):
    page = tmp_path / "clicked.html"
    page.write_text((reports / "good" / "report.html").read_text().replace("</body>", CLICK))
    dom, log = browse(page, tmp_path / "p", "--dump-dom")
    assert console_lines(log) == []
    rows = re.findall(r'<tr class="(?:kept|rejected)"[^>]*>(.*?)</tr>', dom, re.DOTALL)
    spikes = [float(re.findall(r'data-key="([^"]*)"', row)[1]) for row in rows]
    assert len(spikes) == 5
    assert spikes == sorted(spikes, reverse=True)
    assert 'class="units few kept-only"' in dom


def test_units_are_filtered_by_conditions_in_table_and_cards(reports, tmp_path):
    record = json.loads((reports / "good" / "recording_report.json").read_text())
    limit = sorted(unit["spike_count"] for unit in record["units"])[2]
    typed = f"document.getElementById('filter').value = 'spikes>{limit} curated';"
    script = (
        f"<script>addEventListener('load', () => {{{typed}"
        "document.getElementById('filter').dispatchEvent(new Event('input'));});</script></body>"
    )
    page = tmp_path / "filtered.html"
    page.write_text((reports / "good" / "report.html").read_text().replace("</body>", script))
    dom, log = browse(page, tmp_path / "p", "--dump-dom")
    assert console_lines(log) == []
    wanted = {
        unit["unit_id"]
        for unit in record["units"]
        if unit["spike_count"] > limit and unit["passed"]
    }
    for kind in ("tr", "article"):
        shown = {
            match[1]
            for match in re.finditer(rf'<{kind} [^>]*data-unit="([^"]*)"[^>]*>', dom)
            if "hidden" not in match[0]
        }
        assert shown == wanted
    assert f"{len(wanted)} of 5 units" in dom


def test_the_saved_table_has_the_rows_that_are_shown_and_no_formula(reports, tmp_path):
    """A spreadsheet would run a cell that begins as a formula does."""
    script = (
        "<script>addEventListener('load', () => {"
        "document.querySelector('#units tbody tr').cells[1].dataset.key = '=cmd()';"
        "URL.createObjectURL = (blob) => {"
        "blob.text().then((text) => { document.body.dataset.csv = text; }); return '#'; };"
        "document.getElementById('csv').click();});</script></body>"
    )
    page = tmp_path / "saved.html"
    page.write_text((reports / "good" / "report.html").read_text().replace("</body>", script))
    dom, _log = browse(page, tmp_path / "p", "--dump-dom")
    head, *rows = unescape(re.search(r'data-csv="([^"]*)"', dom)[1]).split()
    assert head.startswith("unit_id,spike_count,firing_rate_hz,")
    assert len(rows) == 5
    assert rows[0].startswith("'=cmd(),")
    assert all(not row.startswith("=") for row in rows)


def test_page_names_verdict_figures_and_their_texts(reports):
    page = (reports / "good" / "report.html").read_text()
    assert re.findall(r'<div class="drawing (\w+)"', page) == [
        "raster", "probe", "metrics", "templates", "drift", "scatter", "noise", "curation",
    ]  # fmt: skip
    drawings = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert len(drawings) > 8
    assert all(drawings)
    assert "units passed curation." in page
    assert 'http-equiv="Content-Security-Policy"' in page
    bad = (reports / "bad" / "report.html").read_text()
    assert "Unsortable" in bad
    assert "Next step." in bad


def test_each_unit_of_the_table_leads_to_its_own_drawings(reports):
    page = (reports / "good" / "report.html").read_text()
    links = re.findall(r'<a href="#(unit-[^"]+)">', page)
    shown = re.findall(r'<article class="unit \w+" id="([^"]+)"', page)
    assert len(shown) == 5
    assert set(links) == set(shown)
    for card in re.findall(r"<article.*?</article>", page, re.DOTALL):
        assert 'class="footprint"' in card
        assert "Spikes with itself" in card
        assert "Amplitude over time" in card


def test_on_a_phone_every_figure_fits_or_says_that_it_scrolls(reports, tmp_path):
    page = tmp_path / "phone.html"
    page.write_text((reports / "good" / "report.html").read_text().replace("</body>", SIGNS))
    dom, _ = browse(page, tmp_path / "p", "--dump-dom", "--window-size=500,2600")
    signs = re.findall(r'data-signs="([^"]*)"', dom)[0].split(",")
    assert "scrolls silently" not in signs
    assert signs.count("says it scrolls") == 3
    assert signs.count("fits") >= 2
