"""CurationService over a real connection, with a real confined process."""

import pytest
from tests.support.confined import make_rooms
from tests.support.rooms import serving
from tests.support.sorted_runs import (
    CURATION,
    CURATION_PREFIX,
    RUN_ID,
    SORT,
    publish_sort,
    write_sort,
)

from spikefleet.api.v1 import curation_pb2, curation_pb2_grpc, failure_pb2
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import AttemptPlace
from spikefleet.curation.servicer import registration
from spikefleet.curation.sorts import CONFINED
from spikefleet.infra.rpc.convert.attempt_refs import to_attempt_ref
from spikefleet.infra.rpc.convert.structs import to_struct
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.opening_failures import own_failure
from spikefleet.infra.system.openings import Limits, OpeningFailedError


@pytest.fixture
async def stub(tmp_path):
    entry = registration(make_rooms(tmp_path).curation)
    async with serving(entry) as channel:
        yield curation_pb2_grpc.CurationServiceStub(channel)


async def test_sort_is_curated_with_the_thresholds_of_the_request(stub, tmp_path):
    folder = tmp_path / "sort"
    folder.mkdir()
    write_sort(folder)
    publish_sort(LocalArtifacts(tmp_path / "artifacts"), folder)
    request = curation_pb2.CurateRequest(
        run_id=RUN_ID,
        sort=to_attempt_ref(SORT),
        attempt=to_attempt_ref(CURATION),
        config=to_struct({"curation": {"snr_min": 1e6}}),
    )
    answer = await stub.Curate(request)
    assert not answer.HasField("failure")
    assert (answer.unit_count_sorted, answer.unit_count_curated) == (5, 0)
    assert answer.prefix == CURATION_PREFIX


async def test_missing_sort_is_an_answer_with_its_failure(stub):
    answer = await stub.Curate(
        curation_pb2.CurateRequest(
            run_id=RUN_ID,
            sort=to_attempt_ref(AttemptPlace("none", Stage.SORT, 1)),
            attempt=to_attempt_ref(CURATION),
        )
    )
    assert answer.failure.code == failure_pb2.FAILURE_CODE_INCOMPLETE


async def test_our_bug_is_not_the_recordings_fault(tmp_path):
    """Nothing that a client can send; our own code asked for what it was not given."""
    rooms = make_rooms(tmp_path)
    with pytest.raises(OpeningFailedError) as caught:
        await rooms.curation.pool.run(f"{CONFINED}:curate", {}, SandboxPolicy(), Limits())
    failure = Failure.from_error(own_failure(caught.value))
    assert failure.code is FailureCode.UNCLASSIFIED
    assert failure.evidence["exception_type"] == "KeyError"
    assert str(failure.evidence["frame"]).startswith("spikefleet/curation/curate.py:")
    assert any("in curate" in line for line in failure.evidence["trace_tail"])
