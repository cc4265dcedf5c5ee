"""Every artifact store there is, held to the one contract."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contracts.artifact_store import ArtifactStoreContract

from spikefleet.infra.stores.bytes.artifacts import HasLocalPaths
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts


class TestLocalArtifacts(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalArtifacts:
        return LocalArtifacts(tmp_path / "artifacts")

    @pytest.fixture
    def damage(self, store: LocalArtifacts) -> Callable[[str, bytes], None]:
        def change(key: str, data: bytes) -> None:
            (store.root / key).write_bytes(data)

        return change

    def test_keys_are_files_on_this_machine(self, store: LocalArtifacts) -> None:
        assert isinstance(store, HasLocalPaths)
        store.put_bytes("a/x", b"1")
        assert store.local_path("a/x").read_bytes() == b"1"
        assert store.local_path("a").is_dir()
        with pytest.raises(FileNotFoundError):
            store.local_path("b")
