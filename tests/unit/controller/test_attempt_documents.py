"""What a pod and its controller leave each other in the store, beside what is published."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.support.runner_profiles import attempt

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.foreign_documents import MOST_BYTES
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.stores.bytes.artifacts import live_key, publish_folder, verify_prefix
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts

SPEC = attempt()
PREFIX = SPEC.artifacts_prefix


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "store")


def test_an_order_is_found_by_its_key_and_known_by_its_digest(store: LocalArtifacts) -> None:
    documents = StoredDocuments(store)
    key, digest = documents.write_spec(SPEC)
    data = store.get_bytes(key)
    assert hashlib.sha256(data).hexdigest() == digest
    assert AttemptSpec.from_json(json.loads(data)) == SPEC
    assert documents.write_spec(SPEC) == (key, digest)
    assert documents.write_spec(attempt(memory_limit_bytes=5))[0] != key


def test_an_order_is_not_in_the_way_of_what_the_runner_publishes(
    store: LocalArtifacts, tmp_path: Path
) -> None:
    StoredDocuments(store).write_spec(SPEC)
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "spec.json").write_text("the runner's own")
    publish_folder(store, PREFIX, tmp_path / "result")
    assert len(verify_prefix(store, PREFIX)) == 1


def test_what_an_attempt_last_told_is_read_and_nothing_is_no_word(store: LocalArtifacts) -> None:
    documents = StoredDocuments(store)
    assert documents.live(PREFIX) == {}
    store.swap_pointer(live_key(PREFIX), {"started": {"pid": 1}, "heartbeat": {"at": 3.0}})
    assert documents.live(PREFIX)["heartbeat"] == {"at": 3.0}


@pytest.mark.parametrize("place", ["outcome.json", "failure/outcome.json"])
def test_the_outcome_of_a_success_and_of_a_failure_is_found(
    store: LocalArtifacts, place: str
) -> None:
    documents = StoredDocuments(store)
    assert documents.outcome(PREFIX) is None
    store.put_bytes(f"{PREFIX}/{place}", b'{"exit_code": 7}')
    assert documents.outcome(PREFIX) == {"exit_code": 7}


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_document_is_none(store: LocalArtifacts, damaged: bytes) -> None:
    store.put_bytes(f"{PREFIX}/outcome.json", damaged)
    assert StoredDocuments(store).outcome(PREFIX) is None


def test_a_document_that_is_longer_than_any_of_ours_is_not_fetched(store: LocalArtifacts) -> None:
    long = b'{"exit_code": 7, "x": "' + b"x" * MOST_BYTES + b'"}'
    store.put_bytes(f"{PREFIX}/outcome.json", long)
    assert StoredDocuments(store).outcome(PREFIX) is None


def test_a_store_that_takes_nothing_is_away(store: LocalArtifacts, tmp_path: Path) -> None:
    (tmp_path / "store" / PREFIX).mkdir(parents=True)
    (tmp_path / "store" / PREFIX / "order").write_text("a file where the folder should be")
    with pytest.raises(LauncherUnreachableError, match="the artifact store does not answer"):
        StoredDocuments(store).write_spec(SPEC)
