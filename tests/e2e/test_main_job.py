"""A recording goes in over gRPC; curated units and a report come out."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import spikeinterface.core as si
from click.testing import CliRunner
from spikeinterface.exporters import export_to_phy
from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording
from tests.support.service import Service

import spikefleet
from spikefleet.cli.main import cli
from spikefleet.client.views import RunView
from spikefleet.core.runs import RunState


def sort(service: Service, path: Path, **overrides) -> RunView:
    with service.client() as client:
        batch = client.submit(path, SORTER, **overrides)
        return client.wait(batch.run_ids, timeout_s=240)[0]


def test_an_uploaded_recording_ends_in_units_and_a_report(shared_service, tmp_path):
    recording = make_recording(tmp_path, seconds=20.0, channels=16, units=4, seed=11)
    run = sort(shared_service, recording.path, in_place=False)
    assert run.state is RunState.SUCCEEDED, run.failure
    assert run.status == "success"
    assert run.result["n_units_curated"] >= 3
    with shared_service.client() as client:
        files = client.fetch(run.run_id, tmp_path / "results")
        names = {file.path.name for file in files}
        assert {"report.html", "recording_report.json", "units.csv", "curated.npz"} <= names
        record = client.report(run.run_id).report
        assert (record["status"], record["notes"]) == ("success", [])
    page = next(file.path for file in files if file.path.name == "report.html").read_text()
    for figure in ("raster", "probe", "metrics", "templates", "strip", "drift", "noise"):
        assert f'class="drawing {figure}"' in page


def test_a_fetched_folder_is_read_as_values(shared_service, recording, tmp_path):
    run = sort(shared_service, recording)
    with shared_service.client() as client:
        client.fetch(run.run_id, tmp_path / "results")
    results = spikefleet.load_results(tmp_path / "results")
    assert (results.run_id, results.status) == (run.run_id, "success")
    page = tmp_path / "results" / "report" / "report.md"
    told = page.read_text()
    page.unlink()
    assert spikefleet.generate_sorting_report(tmp_path / "results") == page
    assert page.read_text() == told
    log = spikefleet.parse_sorting_log(tmp_path / "results")
    assert log["stages"] == ["load", "sort", "analyze"]
    assert len(results.curated) == run.result["n_units_curated"] > 0
    with np.load(tmp_path / "results" / "curate" / "curated.npz") as exported:
        for row in exported["units"]:
            train = exported["spike_trains"][row["spikes_start"] : row["spikes_stop"]]
            unit = results.curated[str(row["unit_id"])]
            assert np.array_equal(unit.spike_frames, train)
            assert np.array_equal(unit.spike_times_s, train / exported["fs"])
            assert len(train) == unit.metrics["spike_count"]
    assert results.provenance["recording"]["digest"]
    assert results.provenance["versions"]["spikefleet"]


def test_another_threshold_needs_the_stored_sort_alone(shared_service, recording):
    first = sort(shared_service, recording)
    shutil.rmtree(recording) if recording.is_dir() else recording.unlink()
    with shared_service.client() as client:
        asked = client.retry(first.run_id, "curate", snr_min=99.0)
        (second,) = client.wait([asked.run_id], timeout_s=120)
    assert second.state is RunState.SUCCEEDED, second.failure
    assert second.result["n_units_curated"] == 0
    assert [str(a.stage) for a in second.attempts] == ["curate", "report"]


def test_the_same_submission_twice_is_one_run(shared_service, recording):
    first = sort(shared_service, recording)
    with shared_service.client() as client:
        again = client.submit(recording, SORTER)
        assert again.run_ids == (first.run_id,)
        assert again.existing_run_ids == (first.run_id,)
        sorts = [a for a in client.get(first.run_id).attempts if a.stage == "sort"]
    assert len(sorts) == 1


def test_another_threshold_is_a_second_run_that_reuses_the_sort(shared_service, recording):
    first = sort(shared_service, recording)
    second = sort(shared_service, recording, snr_min=100.0)
    assert second.run_id != first.run_id
    assert second.state is RunState.SUCCEEDED, second.failure
    assert second.result["sort_reused_from"] == first.run_id
    assert second.result["n_units_curated"] == 0
    with shared_service.client() as client:
        assert not [a for a in client.get(second.run_id).attempts if a.stage == "sort"]


def test_other_sorter_parameters_are_sorted_anew_and_the_recording_kept_on_request(
    shared_service, recording, tmp_path
):
    first = sort(shared_service, recording)
    second = sort(
        shared_service, recording, freq_min=400, save_recording=True, save_sorter_output=True
    )
    assert second.run_id != first.run_id
    assert "sort_reused_from" not in second.result
    with shared_service.client() as client:
        client.fetch(second.run_id, tmp_path / "results")
    folder = tmp_path / "results" / "sort"
    kept = si.load(folder / "recording")
    analyzer = si.load_sorting_analyzer(folder / "analyzer")
    analyzer.set_temporary_recording(kept)
    strip = json.loads((folder / "strip.json").read_text())
    start, (name, *_) = strip["start_sample"], strip["channel_ids"]
    shown = kept.get_traces(
        start_frame=start, end_frame=start + 50, channel_ids=[name], return_in_uV=True
    )
    told = np.array(strip["prepared"][0][:50]) / 10
    assert np.ptp(shown[:, 0] - told) < 0.2  # the strip is around its median, in tenths
    export_to_phy(analyzer, tmp_path / "phy", compute_pc_features=False, verbose=False)
    assert (tmp_path / "phy" / "recording.dat").stat().st_size > 1_000_000
    with np.load(folder / "sorter_output" / "firings.npz") as own:  # MountainSort's own file
        assert len(own["spike_indexes_seg0"]) == second.result["n_spikes"]


def test_metrics_tell_of_the_runs_that_ended(shared_service, recording):
    sort(shared_service, recording)
    page = urlopen(f"http://127.0.0.1:{shared_service.metrics_port}/metrics").read().decode()
    assert f'spikefleet_runs_ended_total{{backend="{SORTER}",status="success"}}' in page
    assert 'spikefleet_runs{state="succeeded"}' in page


def test_every_transition_of_a_run_is_an_event_in_order(shared_service, recording):
    run = sort(shared_service, recording)
    with shared_service.client() as client:
        events = client.events(run.run_id)
    kinds = [event.kind for event in events]
    assert kinds[0] == "run.created"
    assert kinds[-1] == "run.ended"
    moves = [(event.from_state, event.to_state) for event in events if event.to_state]
    for (_, reached), (left, _) in pairwise(moves):
        assert reached == left


def test_a_stored_sort_is_curated_again_beside_the_runs_own_curation(
    shared_service, recording, tmp_path
):
    run = sort(shared_service, recording)
    with shared_service.client() as client:
        made, existed = client.curate(run.run_id, name="strict", snr_min=1e6)
        assert (existed, made.n_curated) == (False, 0)
        assert client.curate(run.run_id, snr_min=1e6) == (made, True)
        assert [one.name for one in client.curations(run.run_id)] == ["first", "strict"]
        client.fetch(run.run_id, tmp_path / "strict", curation="strict")
        client.fetch(run.run_id, tmp_path / "own")
    assert len(spikefleet.load_results(tmp_path / "strict").curated) == 0
    assert len(spikefleet.load_results(tmp_path / "own").curated) > 0


def test_what_a_person_did_in_phy_and_what_two_sorts_agree_on_are_curations(
    shared_service, recording, tmp_path
):
    run = sort(shared_service, recording)
    asks = ("--address", shared_service.address, "--output", "json")

    def ask(*arguments):
        done = CliRunner().invoke(cli, [*map(str, arguments), *asks])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    ask("fetch", run.run_id, tmp_path / "run", "--as", "phy", "--as", "curation-json")
    groups = tmp_path / "run" / "exports" / "phy" / "cluster_group.tsv"
    head, first, *rest = groups.read_text().splitlines()
    groups.write_text("\n".join([head, f"{first.partition(chr(9))[0]}\tnoise", *rest]) + "\n")
    made = ask("curate", run.run_id, "--from", groups.parent, "--name", "mine", "--compare")
    assert (made["kind"], made["compared"]["changed"]) == ("phy", 1)
    assert made["n_curated"] == run.result["n_units_curated"] - 1
    document = tmp_path / "run" / "exports" / "curation_v2.json"
    same = ask("curate", run.run_id, "--from", document, "--name", "json", "--compare")
    assert (same["kind"], same["compared"]["changed"]) == ("spikeinterface", 0)
    other = sort(shared_service, recording, freq_min=350)
    agreed = ask("consensus", run.run_id, other.run_id, "--name", "both")
    assert agreed["kind"] == "consensus"
    assert 0 < agreed["n_curated"] <= run.result["n_units_curated"]
    assert any(those and those[0]["run_id"] == other.run_id for those in agreed["support"].values())
    refused = CliRunner().invoke(cli, ["consensus", run.run_id, run.run_id, *asks])
    assert "two runs or more" in refused.output
