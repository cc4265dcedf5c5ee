"""A whole report from a sort's artifacts, and from nothing."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator
from tests.house.source import ROOT
from tests.support.confined import curate_sort, render_report, write_from
from tests.support.sorted_runs import (
    CURATION,
    REPORT,
    REPORT_PREFIX,
    RUN_ID,
    SORT,
    make_run_record,
    make_unsortable_record,
    publish_sort,
    write_sort,
)

from spikefleet.core.attempts import Stage
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.rooms.curation import CurationTask
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.reporter.render import write_report
from spikefleet.reporter.reports import gathered

EVERYTHING = CurationConfig(curate_first=False, curate_second=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sort")
    write_sort(folder)
    store = LocalArtifacts(tmp_path_factory.mktemp("artifacts"))
    publish_sort(store, folder)
    curate_sort(store, CurationTask(SORT, CURATION, EVERYTHING, WaveformConfig()))
    return store


def make_task(record):
    return ReportTask(record, REPORT, SORT, CURATION)


def make_bare_task(record):
    """The report of a run that left nothing."""
    return ReportTask(record, REPORT)


def test_report_is_published_complete(store):
    answer = render_report(store, make_task(make_run_record()))
    names = {f.key.rsplit("/", 1)[1] for f in verify_prefix(store, REPORT_PREFIX)}
    assert names == {"recording_report.json", "report.md", "report.html"}
    assert answer.html_key == f"{REPORT_PREFIX}/report.html"
    record = json.loads(store.get_bytes(f"{REPORT_PREFIX}/recording_report.json"))
    assert record["n_curated_units"] == 5
    assert record["stream"]["duration_s"] == pytest.approx(10.0)


def test_pictures_and_pages_are_written_where_the_settings_ask_for_them(store, tmp_path):
    record = make_run_record()
    record["config"]["figures"] = {"create_figures": True, "create_unit_figures": True}
    write_from(store, make_task(record), tmp_path)
    told = json.loads((tmp_path / "recording_report.json").read_text())
    assert told["notes"] == []
    assert len([name for name in told["files"] if name.startswith("figures/")]) == 3
    pages = [name for name in told["files"] if name.startswith("units/")]
    assert len(pages) == 5
    assert all((tmp_path / name).stat().st_size > 1000 for name in told["files"])
    report = (tmp_path / "report.html").read_text()
    assert all(f'href="{name}"' in report for name in told["files"])


def test_figures_that_are_none_of_ours_are_told(store, tmp_path):
    record = make_run_record()
    record["config"]["figures"] = {"create_figures": True, "dpi": "many"}
    write_from(store, make_task(record), tmp_path)
    told = json.loads((tmp_path / "recording_report.json").read_text())
    assert told["files"] == []
    assert told["notes"][0].startswith("Not drawn: the figures as the settings ask")


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_task(make_run_record()),
        lambda: make_bare_task(make_unsortable_record()),
        lambda: make_bare_task({}),
    ],
    ids=["rich", "failed", "empty"],
)
def test_a_record_is_what_the_published_schema_says(store, tmp_path, make):
    schema = json.loads((ROOT / "docs/schema/recording-report.schema.json").read_text())
    write_from(store, make(), tmp_path)
    record = json.loads((tmp_path / "recording_report.json").read_text())
    problems = Draft202012Validator(schema).iter_errors(record)
    assert [f"{list(p.absolute_path)}: {p.message}" for p in problems] == []
    unknown = set(record) - set(schema["properties"])
    assert unknown == set()
    assert next(Draft202012Validator(schema).iter_errors(record | {"units": 5}), None) is not None


def test_suggested_merges_are_on_the_page_with_the_command_that_joins_them(store, tmp_path):
    suggested = {"unit_ids": ["0", "elsewhere"], "method": "duplicates", "similarity": 0.91}
    with gathered(VerifiedBytes(store), make_task(make_run_record())) as sources:
        curation = {**sources.curation, "merge_suggestions": [suggested]}
        write_report(replace(sources, curation=curation), make_task(make_run_record()), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert 'href="#unit-0">0</a> and elsewhere: similarity 0.91, found by' in page
    assert f"spikefleet curate {RUN_ID} --set merge=apply --compare" in page


def test_same_input_gives_the_same_bytes(store, tmp_path):
    task = make_task(make_run_record())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_from(store, task, tmp_path / name)
    for file in ("recording_report.json", "report.md", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_unsortable_run_gets_a_page_with_evidence_and_next_step(store, tmp_path):
    task = make_bare_task(make_unsortable_record())
    write_from(store, task, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "The signal is silent: 3 threshold crossings in 10 s." in page
    assert "noise (µV)" in page
    assert "<figure" not in page


def test_a_page_advises_what_the_check_advised_and_once(store, tmp_path):
    record = make_unsortable_record()
    message = "Every sample is digital zero. Check that the amplifier was on and this well or "
    failure = record["run"]["failure"]
    failure |= {"message": f"{message}probe connected.", "next_step": ""}
    write_from(store, make_bare_task(record), tmp_path)
    verdict = json.loads((tmp_path / "recording_report.json").read_text())["verdict"]
    assert verdict["sentence"] == "Every sample is digital zero."
    assert verdict["next_step"].startswith("Check that the amplifier was on")
    assert "detection threshold" not in (tmp_path / "report.html").read_text()


def test_a_page_names_what_was_opened_of_each_recording(store, tmp_path):
    record = make_run_record()
    paths = ["/data/monday/plate 3.raw.h5", "/data/tuesday/plate 3.raw.h5"]
    record["recording"] = {"location": "/data/monday", "paths": paths, "files": []}
    write_from(store, make_task(record), tmp_path)
    assert f"<code>{', '.join(paths)}</code>" in (tmp_path / "report.html").read_text()


def test_text_from_people_is_escaped(store, tmp_path):
    record = make_unsortable_record()
    record["run"]["submitter"] = "<script>alert(1)</script>"
    write_from(store, make_bare_task(record), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "Check the culture &lt;and&gt; the reference." in page


def test_missing_sort_is_a_note_not_an_error(store, tmp_path):
    write_from(store, ReportTask({}, REPORT, AttemptPlace("none", Stage.SORT, 1)), tmp_path)
    record = json.loads((tmp_path / "recording_report.json").read_text())
    assert record["notes"][0].startswith("No figures")


def test_empty_record_makes_a_page(store, tmp_path):
    write_from(store, make_bare_task({}), tmp_path)
    assert RUN_ID in (tmp_path / "report.html").read_text()


def test_markdown_has_its_sections_in_order(store, tmp_path):
    write_from(store, make_task(make_run_record()), tmp_path)
    titles = [
        line[3:]
        for line in (tmp_path / "report.md").read_text().splitlines()
        if line.startswith("## ")
    ]
    assert titles == [
        "Curation outcome",
        "Overview",
        "Findings before the sort",
        "Settings that differ from the defaults",
        "Environment",
        "Pipeline timing",
        "Unit quality distributions",
        "Resources",
        "Decisions",
        "Recording files",
    ]


def test_parameters_that_a_retry_changed_are_stamped_on_the_report(store, tmp_path):
    record = make_run_record()
    record["run"]["result"] = {
        "result_affecting": True,
        "params": {"sorter_params": {"batch_size": 30_000}},
    }
    write_from(store, make_task(record), tmp_path)
    for file in ("report.html", "report.md"):
        text = (tmp_path / file).read_text()
        assert "Not the parameters that were asked for" in text
        assert "batch_size 30 000" in text


def test_what_was_used_stands_beside_what_was_projected(store, tmp_path):
    record = make_run_record()
    entry = {"projected": 2e9, "used": 1.6e9, "ratio": 1.25}
    record["run"]["result"] = {"projection": {"memory_bytes": entry}}
    write_from(store, make_task(record), tmp_path)
    assert "| memory | 2 GB | 1.6 GB | 1.25 |" in (tmp_path / "report.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "Projected and used" in page
    assert "1.6 GB" in page


def test_the_end_of_a_log_and_of_a_traceback_is_on_the_page_and_the_whole_behind_it(
    store, tmp_path
):
    record = make_unsortable_record()
    log = [f"log line {number} {'x' * 40}" for number in range(50)]
    trace = ["Traceback (most recent call last):", *(f"  frame {n}" for n in range(40)), "KeyError"]
    record["run"]["failure"]["evidence"] = {"log_tail": log, "trace_tail": trace, "n": 1}
    write_from(store, make_bare_task(record), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("log line 49") == 2
    assert page.count("log line 3 ") == 1
    assert page.index("<summary>log tail") < page.index("log line 49")
    assert page.count("KeyError") == 2
    markdown = (tmp_path / "report.md").read_text()
    assert all(line in markdown for line in (*log, *trace))
