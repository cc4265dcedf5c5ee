"""Recordings submitted as one, on a real service with real preflight; no sorter needs to start."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.recordings import make_recording
from tests.support.service import Service

from spikefleet.cli.main import cli
from spikefleet.client.views import BatchView
from spikefleet.infra.rpc.errors import ServiceError

SORTER = "mountainsort5"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(tmp_path_factory.mktemp("service")).start()
    yield started
    started.close()


def takes(folder: Path, *names: str, **options: Any) -> list[Path]:
    """Silent recordings: their runs end in preflight."""
    options = {"seconds": 5.0, "channels": 4, "condition": "silent", "units": 0} | options
    return [make_recording(folder, name=name, **options).path for name in names]


def ask(service: Service, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--address", service.address])


def runs_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout)["runs"])


def submit(service: Service, *paths: Path, flag: str = "--concatenate") -> list[dict[str, Any]]:
    arguments = ["submit", *map(str, paths), "--sorter", SORTER, "--output", "json", flag]
    return runs_of(ask(service, *arguments))


def test_recordings_become_one_run_only_when_asked(service: Service, tmp_path: Path) -> None:
    paths = [
        *takes(tmp_path, "a", seconds=4.0),
        *takes(tmp_path, "b", seconds=5.0),
        *takes(tmp_path, "c", seconds=6.0),
    ]
    (run,) = submit(service, *paths)
    assert run["recording_name"].endswith("/a-and-2-more")
    assert [again["run_id"] for again in submit(service, *paths)] == [run["run_id"]]
    assert len(submit(service, *paths, flag="--in-place")) == 3
    (turned,) = submit(service, *paths[::-1])
    assert turned["run_id"] != run["run_id"]
    with service.client() as client:
        (ended,) = client.wait([run["run_id"]], timeout_s=90)
        assert ended.status == "unsortable"
        stream = ended.result["preflight"]["stream"]
        assert stream["duration_s"] == pytest.approx(15.0)  # preflight looked at all of it
        record = client.report(run["run_id"]).report
    assert [part["name"] for part in record["recording"]["parts"]] == ["a", "b", "c"]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_folder_stands_for_its_recordings_in_natural_order(
    service: Service, tmp_path: Path, in_place: bool
) -> None:
    night = tmp_path / "night"
    takes(night, "take10", "take9", format="maxwell")
    (night / "notes.txt").write_text("slice 3")
    with service.client() as client:
        batch = client.submit_concatenated(night, SORTER, in_place=in_place)
        (ended,) = client.wait(batch.run_ids, timeout_s=90)
        record = client.report(ended.run_id).report
    assert ended.status == "unsortable"
    assert ended.result["preflight"]["stream"]["duration_s"] == pytest.approx(10.0)
    assert [part["name"] for part in record["recording"]["parts"]] == [
        "take9.raw.h5",
        "take10.raw.h5",
    ]
    listed = [file["path"] for file in record["recording"]["files"]]
    assert listed == ["take9.raw.h5", "take10.raw.h5"]


def test_recordings_that_differ_start_nothing_and_are_both_named(
    service: Service, tmp_path: Path
) -> None:
    paths = takes(tmp_path, "four") + takes(tmp_path, "six", channels=6)
    before = len(json.loads(ask(service, "list", "--output", "json").stdout)["runs"])
    refused = ask(service, "submit", *map(str, paths), "--sorter", SORTER, "--concatenate")
    assert refused.exit_code == 2
    assert "six differs from four: 6 channels, not 4" in refused.stderr
    assert "Sort them apart" in refused.stderr
    after = len(json.loads(ask(service, "list", "--output", "json").stdout)["runs"])
    assert after == before


def test_formats_do_not_mix_in_one_folder(service: Service, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    takes(mixed, "a", format="maxwell")
    takes(mixed, "b", format="nwb")
    with service.client() as client, pytest.raises(ServiceError, match="several formats") as caught:
        client.submit_concatenated(mixed, SORTER)
    assert caught.value.reason == "RECORDINGS_DIFFER"


def plates(service: Service, tmp_path: Path, **options: Any) -> BatchView:
    paths = takes(tmp_path, "p1", "p2", format="maxwell", wells=2)
    with service.client() as client:
        return client.submit_concatenated(paths, SORTER, **options)


def test_every_well_of_joined_plates_is_a_run_of_its_own(service: Service, tmp_path: Path) -> None:
    batch = plates(service, tmp_path)
    assert [run.run.stream for run in batch.runs] == ["well000", "well001"]
    assert len({run.run.recording_id for run in batch.runs}) == 1
    chosen = plates(service, tmp_path, streams=("well001",))
    assert chosen.run_ids == batch.run_ids[1:]


def test_an_unknown_stream_of_joined_plates_starts_nothing(
    service: Service, tmp_path: Path
) -> None:
    with pytest.raises(ServiceError) as caught:
        plates(service, tmp_path, streams=("well000", "well009"))
    assert caught.value.reason == "UNKNOWN_STREAM"


def test_one_well_that_one_plate_lacks_ends_alone(service: Service, tmp_path: Path) -> None:
    paths = takes(tmp_path, "p1", format="maxwell", wells=2)
    paths += takes(tmp_path, "p2", format="maxwell", wells=1)
    with service.client() as client:
        batch = client.submit_concatenated(paths, SORTER)
        first, second = client.wait(batch.run_ids, timeout_s=90)
    assert (first.run.stream, first.status) == ("well000", "unsortable")
    assert second.run.stream == "well001"
    assert second.failure is not None
    assert "well001" in second.failure.message


def test_a_part_that_is_gone_ends_the_run_by_its_name(service: Service, tmp_path: Path) -> None:
    paths = takes(tmp_path, "here", "gone")
    with service.client() as client:
        ids = [client.add_recording(path).recording_id for path in paths]
        shutil.rmtree(paths[1])
        batch = client.sort(ids, SORTER, concatenate=True)
        (ended,) = client.wait(batch.run_ids, timeout_s=90)
    assert ended.status == "input_error"
    assert ended.failure is not None
    assert str(paths[1]) in str(ended.failure.evidence["path"])


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("rec_chunks_s=[[0, 3], [2, 5]]", "rec_chunks_s"),
        ("rec_chunks=[[9, 3]]", "rec_chunks"),
        ("gain_to_uv=0", "gain_to_uv"),
        ("mea_y_max=-0.5", "mea_y_max"),
    ],
)
def test_windows_and_scales_that_contradict_themselves_are_refused_at_submission(
    service: Service, tmp_path: Path, override: str, field: str
) -> None:
    (path,) = takes(tmp_path, "a")
    refused = ask(service, "submit", str(path), "--sorter", SORTER, "--set", override)
    assert refused.exit_code == 2
    assert f"recording.{field}" in refused.stderr


@pytest.mark.parametrize(
    ("override", "field"),
    [("start_time_s=60", "start_time_s"), ("gain_to_uv=[1, 2, 3]", "gain_to_uv")],
)
def test_what_only_the_recording_tells_is_refused_by_preflight(
    service: Service, tmp_path: Path, override: str, field: str
) -> None:
    (path,) = takes(tmp_path, "a")
    name, _, value = override.partition("=")
    with service.client() as client:
        batch = client.submit(path, SORTER, **{name: json.loads(value)})
        (ended,) = client.wait(batch.run_ids, timeout_s=90)
    assert ended.failure is not None
    assert str(ended.failure.code) == "invalid_configuration"
    assert ended.failure.evidence["field"] == f"recording.{field}"
    assert not [attempt for attempt in ended.attempts if attempt.stage == "sort"]
