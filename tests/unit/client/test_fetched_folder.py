"""Whose a folder of fetched results is."""

from pathlib import Path

import pytest
from tests.support.runs import make_run

from spikefleet.client.fetched_folder import FetchedFolder, FolderTakenError, read_marker
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import RunState

RUN = make_run(state=RunState.SUCCEEDED, status=RunStatus.SUCCESS)


def test_the_marker_says_whose_folder_it_is_and_what_was_copied(tmp_path: Path) -> None:
    FetchedFolder.opened(tmp_path / "new", RUN).with_file("sort/a.npy", "12ab").write()
    told = read_marker(tmp_path / "new")
    assert (told["run_id"], told["outcome"], told["sorter"]) == (RUN.run_id, "success", RUN.backend)
    assert told["files"] == {"sort/a.npy": "12ab"}
    assert FetchedFolder.opened(tmp_path / "new", RUN).files == {"sort/a.npy": "12ab"}


def test_a_folder_of_another_run_is_refused_by_name(tmp_path: Path) -> None:
    FetchedFolder.opened(tmp_path, RUN).write()
    with pytest.raises(FolderTakenError, match=RUN.run_id) as caught:
        FetchedFolder.opened(tmp_path, make_run(run_id="run-other"))
    assert str(tmp_path / "run-other") in caught.value.next_step


def test_files_that_were_changed_are_named(tmp_path: Path) -> None:
    own = FetchedFolder.opened(tmp_path, RUN)
    own.require_replaceable([])
    with pytest.raises(FolderTakenError, match=r"0\.csv, 1\.csv, .* and 2 more") as caught:
        own.require_replaceable([f"{number}.csv" for number in range(7)])
    assert "--overwrite" in caught.value.next_step


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}'])
def test_a_marker_that_cannot_be_read_claims_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "spikefleet.json").write_text(text)
    assert FetchedFolder.opened(tmp_path, RUN).files == {}
