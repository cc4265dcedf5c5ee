"""A stored prefix as a folder, with and without local paths."""

from pathlib import Path

import pytest

from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.checkout import checked_out


class RemoteArtifacts:
    """A store that keeps its local paths to itself, as one behind a network would."""

    def __init__(self, store: LocalArtifacts) -> None:
        self.list_keys = store.list_keys
        self.fetch = store.fetch


@pytest.fixture
def store(tmp_path):
    store = LocalArtifacts(tmp_path)
    store.put_bytes("runs/a/sort/units/0.bin", b"spikes")
    return store


def test_local_store_is_read_where_it_lies(store, tmp_path):
    with checked_out(store, "runs/a/sort") as folder:
        assert folder == tmp_path / "runs/a/sort"


def test_remote_store_is_copied_and_the_copy_goes_away(store):
    kept: list[Path] = []
    with checked_out(RemoteArtifacts(store), "runs/a/sort") as folder:
        assert (folder / "units/0.bin").read_bytes() == b"spikes"
        kept.append(folder)
    assert not kept[0].exists()


@pytest.mark.parametrize("wrap", [lambda store: store, RemoteArtifacts])
def test_nothing_under_the_prefix_is_missing(store, wrap):
    with pytest.raises(ArtifactMissingError), checked_out(wrap(store), "runs/b"):
        pass
