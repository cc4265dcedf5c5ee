"""A stored sort is curated again: real rooms over gRPC, no sorter, no recording, no GPU."""

import html
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.contracts.run_store import new_run
from tests.support.about_runs import about_runs
from tests.support.confined import curate_sort, make_rooms
from tests.support.controlled import Controlled
from tests.support.serving import ROOM, serving
from tests.support.sorted_runs import SORT, SORT_PREFIX, publish_sort, write_sort
from tests.support.strangers import STRANGER_UID, as_user

from spikefleet.cli.main import cli
from spikefleet.client.rooms import ReporterRoom
from spikefleet.client.sorting import SortingClient
from spikefleet.controller.servicer import registrations
from spikefleet.core.attempts import Stage
from spikefleet.core.config import resolve
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import CurationTask, RunCuration
from spikefleet.core.runs import AttemptPlace
from spikefleet.curation import servicer as curation_door
from spikefleet.infra.rpc.errors import ServiceError
from spikefleet.infra.stores.bytes.artifacts import pointer_key, verify_prefix
from spikefleet.infra.stores.sql.curations import CurationStore
from spikefleet.infra.stores.sql.run_values import NewBatch, RunChanges
from spikefleet.reporter import servicer as reporter_door

LOOSE = {"snr_min": None, "spikes_min_first": 5, "spikes_min_second": 5}


@dataclass
class Desk:
    """A controller, a curation room and a reporter at one address, and a run that was sorted."""

    controlled: Controlled
    client: SortingClient
    address: str
    run_id: RunId

    def ask(self, *arguments: str) -> Any:
        """Run a command; return its document."""
        whole = [*arguments, "--address", self.address, "--output", "json"]
        done = CliRunner().invoke(cli, whole)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        """Run a command that is refused; return what it says."""
        done = CliRunner().invoke(cli, [*arguments, "--address", self.address])
        assert done.exit_code != 0, done.output
        return " ".join(done.output.split())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    controlled = Controlled(folder)
    rooms = make_rooms(folder, controlled.artifacts)
    (folder / "sort").mkdir()
    write_sort(folder / "sort")
    publish_sort(controlled.artifacts, folder / "sort")

    def doors(address: str) -> list[Any]:
        about = about_runs(controlled.database, controlled.logs, address)
        return [
            *registrations(
                controlled.runs, controlled.access, controlled.wishes, lambda: None, about
            ),
            curation_door.registration(rooms.curation),
            reporter_door.registration(rooms.reports, controlled.access.may_read),
        ]

    run_id = _sorted_run(controlled)
    with serving(doors) as served, SortingClient(served.address) as client:
        client.curate(run_id, name="loose", **LOOSE)
        yield Desk(controlled, client, served.address, run_id)
    controlled.close()


def _sorted_run(controlled: Controlled) -> RunId:
    """A run with a stored sort and its own curation, which keeps nothing: snr_min is too high."""
    run_id = RunId(controlled.submit("a", snr_min=1e6))
    place = AttemptPlace(run_id, Stage.CURATE)
    run = controlled.runs.get_run(run_id)
    config = resolve("kilosort4", {"snr_min": 1e6})
    curate_sort(controlled.artifacts, CurationTask(SORT, place, config.curation, config.waveform))
    result = {
        "sort_prefix": SORT_PREFIX,
        "curation_prefix": place.prefix,
        "n_units_sorted": 5,
        "n_units_curated": 0,
    }
    changes = RunChanges(result=result)
    controlled.runs.move_run(run, run.state, kind="run.test", changes=changes)
    pointer = {"sort": SORT_PREFIX, "curate": place.prefix}
    controlled.artifacts.swap_pointer(pointer_key(run_id), pointer)
    return run_id


def test_a_curation_is_made_beside_the_runs_own_and_compared(desk: Desk, tmp_path: Path) -> None:
    wanted = LOOSE | {"spikes_min_first": 6}
    sets = [f"{name}={json.dumps(value)}" for name, value in wanted.items()]
    options = [option for pair in sets for option in ("--set", pair)]
    made = desk.ask("curate", desk.run_id, *options, "--name", "looser", "--compare")
    assert (made["name"], made["existed"], made["is_chosen"]) == ("looser", False, False)
    assert made["n_curated"] >= 4
    assert made["settings"]["curation.snr_min"] is None
    rows = made["compared"]["units"]
    assert len(rows) == 5
    assert {row["failed_on_before"] for row in rows} == {"snr_min"}
    assert sum(row["passed_after"] for row in rows) == made["compared"]["changed"]
    own, *_, other = desk.ask("curations", desk.run_id)["curations"]
    assert (own["name"], own["is_chosen"], own["n_curated"]) == ("first", True, 0)
    assert other["name"] == "looser"
    assert other["curator"]
    assert other["owner"].startswith("uid:")
    assert other["report_html"]
    files = desk.client.fetch(desk.run_id, tmp_path / "loose", curation="looser")
    names = {file.path.relative_to(tmp_path / "loose").as_posix() for file in files}
    assert {"curate/curation.json", "report/report.html", "sort/result.json"} <= names
    document = json.loads((tmp_path / "loose" / "curate" / "curation.json").read_text())
    assert document["curation_parameters"]["snr_min"] is None
    record = json.loads((tmp_path / "loose" / "report" / "recording_report.json").read_text())
    assert record["curation"]["n_curated"] == made["n_curated"]
    assert json.loads((tmp_path / "loose" / "spikefleet.json").read_text())["curation"] == "looser"


def test_the_same_settings_are_the_same_curation_byte_for_byte(desk: Desk) -> None:
    first, _ = desk.client.curate(desk.run_id, **LOOSE)
    assert first.name == "loose"
    again, existed = desk.client.curate(desk.run_id, **LOOSE, name="another")
    assert existed
    assert again == first
    assert desk.client.curate(desk.run_id, snr_min=1e6)[0].name == "first"
    config = resolve("kilosort4", LOOSE)
    elsewhere = AttemptPlace(RunId("run-elsewhere"), Stage.CURATE)
    store = desk.controlled.artifacts
    task = CurationTask(SORT, elsewhere, config.curation, config.waveform)
    assert curate_sort(store, task).failure is None
    digests = [
        {file.key.rpartition("/")[2]: file.sha256 for file in verify_prefix(store, prefix)}
        for prefix in (first.prefix, elsewhere.prefix)
    ]
    assert digests[0] == digests[1]


def test_the_chosen_curation_is_what_fetch_gives(desk: Desk, tmp_path: Path) -> None:
    desk.ask("curations", desk.run_id, "--choose", "loose")
    assert desk.ask("fetch", desk.run_id, str(tmp_path / "chosen"))["files"]
    chosen = json.loads((tmp_path / "chosen" / "curate" / "curation.json").read_text())
    assert chosen["curated_final"]
    desk.client.choose_curation(desk.run_id, "first")
    desk.ask("fetch", desk.run_id, str(tmp_path / "chosen"))
    own = json.loads((tmp_path / "chosen" / "curate" / "curation.json").read_text())
    assert own["curated_final"] == []
    kinds = [event.kind for event in desk.client.events(desk.run_id)]
    assert kinds.count("curation.chosen") == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--set", "snr_mim=4"], "did you mean 'snr_min'"),
        (["--set", "freq_min=400"], "recording.freq_min is not a setting of curation"),
        (["--set", "snr_min=high"], "curation.snr_min"),
        (["--set", "snr_min=7", "--name", "first"], "is not 'first'"),
        (["--set", "snr_min=7", "--name", "a b"], "without spaces"),
    ],
)
def test_what_is_no_setting_or_name_is_refused_in_a_sentence(
    desk: Desk, asked: list[str], said: str
) -> None:
    before = desk.client.curations(desk.run_id)
    assert said in desk.refused("curate", desk.run_id, *asked)
    assert desk.client.curations(desk.run_id) == before


def test_a_name_is_given_once_and_an_unknown_one_is_told_with_those_there_are(desk: Desk) -> None:
    with pytest.raises(ServiceError, match="another curation called 'loose'"):
        desk.client.curate(desk.run_id, snr_min=3.0, name="loose")
    assert "has no curation called 'lose'; it has: first, loose" in desk.refused(
        "fetch", desk.run_id, "--curation", "lose"
    )
    with pytest.raises(ServiceError, match="has no curation called 'lose'"):
        desk.client.choose_curation(desk.run_id, "lose")


def test_a_run_of_somebody_else_is_not_curated(desk: Desk) -> None:
    with (
        as_user(STRANGER_UID, desk.address) as address,
        SortingClient(address) as stranger,
        pytest.raises(ServiceError, match="belongs to another user"),
    ):
        stranger.curate(desk.run_id, snr_min=2.0)


def test_a_sort_that_is_gone_is_told_and_nothing_is_written_down(desk: Desk) -> None:
    controlled = desk.controlled
    run_id = controlled.runs.create_batch(NewBatch("ada", "", "", (new_run("b"),))).run_ids[0]
    with pytest.raises(ServiceError, match="no finished sort to curate"):
        desk.client.curate(run_id, snr_min=2.0)
    run = controlled.runs.get_run(desk.run_id)
    lost = RunChanges(result={"sort_prefix": replace(SORT, number=9).prefix})
    moved = controlled.runs.move_run(run, run.state, kind="run.test", changes=lost)
    assert any(one.is_outdated for one in desk.client.curations(desk.run_id))
    with pytest.raises(ServiceError, match="of an earlier sort"):
        desk.client.choose_curation(desk.run_id, "loose")
    before = len(desk.client.curations(desk.run_id))
    with pytest.raises(ServiceError, match="results are not complete"):
        desk.client.curate(desk.run_id, snr_min=2.5)
    assert len(desk.client.curations(desk.run_id)) == before
    back = RunChanges(result={"sort_prefix": SORT_PREFIX})
    controlled.runs.move_run(moved, moved.state, kind="run.test", changes=back)


@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        ({"version": 1}, "curation by hand cannot be read"),
        ({"version": 1, "verdicts": {"1": {"passed": "yes"}}}, "cannot be read"),
        (
            {
                "version": 1,
                "tool": "x",
                "edits": {"version": 1, "merges": [], "splits": []},
                "verdicts": {"nobody": {"passed": True, "reason": "", "label": ""}},
                "trains": {},
            },
            "no unit 'nobody'",
        ),
        ({"much": "x" * (17 << 20)}, "are the most"),
    ],
)
def test_a_curation_by_hand_that_is_none_is_refused_and_leaves_nothing(
    desk: Desk, by_hand: dict[str, Any], said: str
) -> None:
    before = desk.client.curations(desk.run_id)
    with pytest.raises(ServiceError, match=said):
        desk.client.curate(desk.run_id, by_hand=by_hand)
    assert desk.client.curations(desk.run_id) == before


def test_the_report_of_a_curation_gives_its_name(desk: Desk, tmp_path: Path) -> None:
    desk.client.fetch(desk.run_id, tmp_path / "loose", curation="loose")
    record = json.loads((tmp_path / "loose" / "report" / "recording_report.json").read_text())
    assert record["curation"]["name"] == "loose"
    for page in ("report.html", "report.md"):
        told = html.unescape((tmp_path / "loose" / "report" / page).read_text())
        assert "The curation loose, beside the run's own." in told


def test_a_report_that_a_crash_left_half_published_is_made_again(
    desk: Desk, tmp_path: Path
) -> None:
    made, _ = desk.client.curate(desk.run_id, snr_min=3.5, name="crashed")
    forget_report(desk, made)
    complete = AttemptPlace.read(made.report_html.rpartition("/")[0])
    assert complete is not None
    store, place = desk.controlled.artifacts, replace(complete, number=complete.number + 1)
    store.put_bytes(f"{place.prefix}/report.html", b"the half that was there")
    store.put_bytes(f"{complete.prefix}/left", b"of another")
    again, existed = desk.client.curate(desk.run_id, snr_min=3.5)
    assert existed
    assert again.report_html
    desk.client.fetch(desk.run_id, tmp_path / "again", curation="crashed")
    page = (tmp_path / "again" / "report" / "report.html").read_text()
    assert "The curation crashed" in page


def test_a_service_that_ended_before_the_report_makes_it_after_its_next_start(desk: Desk) -> None:
    made, _ = desk.client.curate(desk.run_id, snr_min=3.6, name="interrupted")
    forget_report(desk, made)
    curations = about_runs(desk.controlled.database, desk.controlled.logs, desk.address).curations
    assert curations.report_missing() == 1
    assert curations.report_missing() == 0
    (found,) = [one for one in desk.client.curations(desk.run_id) if one.name == "interrupted"]
    assert found.report_html


def test_why_a_report_is_missing_is_an_event_and_the_same_wish_tries_again(desk: Desk) -> None:
    made, _ = desk.client.curate(desk.run_id, snr_min=3.7, name="unreported")
    forget_report(desk, made)
    curations = about_runs(desk.controlled.database, desk.controlled.logs, desk.address).curations
    nobody = replace(curations, reporter=ReporterRoom("127.0.0.1:1", ROOM))
    assert nobody.report_missing() == 0
    (told,) = [e for e in desk.client.events(desk.run_id) if e.kind == "curation.unreported"]
    assert told.body["name"] == "unreported"
    assert told.body["reason"]
    assert curations.report_missing() == 0  # it is told, and waits for a person
    again, _ = desk.client.curate(desk.run_id, snr_min=3.7)
    assert again.report_html


def test_settings_of_compiled_files_are_changed_by_a_curation(desk: Desk, tmp_path: Path) -> None:
    changed = {"compile_to_mat": True, "compiled_ms_before": 1.0}
    made, existed = desk.client.curate(desk.run_id, name="compiled", **changed)
    assert not existed
    assert set(made.settings) == {"compilation.compile_to_mat", "waveform.compiled_ms_before"}
    desk.client.fetch(desk.run_id, tmp_path / "run", curation="compiled")
    record = json.loads((tmp_path / "run" / "report" / "recording_report.json").read_text())
    assert record["config"]["compilation"]["compile_to_mat"] is True
    again, existed = desk.client.curate(desk.run_id, **changed)
    assert (again, existed) == (made, True)


def forget_report(desk: Desk, made: RunCuration) -> None:
    """Put the records back to the moment between a curation's files and its report's."""
    CurationStore(desk.controlled.database).set_report(made.curation_id, "")


def at_once(*wishes: Callable[[], Any]) -> list[Any]:
    """Make every wish at the same moment; return what came of each, an error too."""
    ready = threading.Barrier(len(wishes))

    def one(wish: Callable[[], Any]) -> Any:
        ready.wait()
        try:
            return wish()
        except ServiceError as error:
            return error

    with ThreadPoolExecutor(len(wishes)) as threads:
        return list(threads.map(one, wishes))


def test_equal_wishes_at_one_moment_are_one_curation_with_a_report(desk: Desk) -> None:
    before = len(desk.client.curations(desk.run_id))
    clients = [SortingClient(desk.address) for _ in range(4)]
    try:
        told = at_once(*(partial(each.curate, desk.run_id, snr_min=2.1) for each in clients))
    finally:
        for each in clients:
            each.close()
    errors = [each for each in told if isinstance(each, ServiceError)]
    assert errors == []
    assert len({made.curation_id for made, _ in told}) == 1
    listed = desk.client.curations(desk.run_id)
    assert len(listed) == before + 1
    assert listed[-1].report_html
    assert [event.kind for event in desk.client.events(desk.run_id)].count(
        "curation.unreported"
    ) <= 1  # of the test before


def test_a_name_that_two_want_at_one_moment_is_given_once(desk: Desk) -> None:
    clients = [SortingClient(desk.address) for _ in range(2)]
    try:
        told = at_once(
            *(
                partial(each.curate, desk.run_id, name="wanted", snr_min=2.2 + number / 100)
                for number, each in enumerate(clients)
            )
        )
    finally:
        for each in clients:
            each.close()
    errors = [each for each in told if isinstance(each, ServiceError)]
    assert [error.reason for error in errors] == ["CURATION_NAME_TAKEN"]
    names = [one.name for one in desk.client.curations(desk.run_id)]
    assert names.count("wanted") == 1
