"""What preflight is asked and answers survives the way to a message and back."""

import pytest

from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding, FindingLevel
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.rooms.preflight import (
    Description,
    Examination,
    Member,
    ResourceEstimate,
    StageEstimate,
)
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.convert.preflight import (
    from_description,
    from_examination,
    from_finding,
    to_description,
    to_examination,
    to_finding,
)

FAILURE = Failure(FailureCode.INPUT_CORRUPT, "It is cut.", "preflight", "preflight.readable")
STREAM = StreamDescription("well000", 8, 20_000.0, 60.0, "uint16", "torn")
RECORDING = Recording("rec-1", RecordingName("p", "s", "n"), (), "d" * 64, "/data", in_place=True)


@pytest.mark.parametrize("level", FindingLevel)
def test_a_finding_survives_the_way_with_its_level_and_its_numbers(level):
    made = Finding(
        "frame_gaps", level, "5 are missing.", "Align.", FailureCategory.INPUT, {"n_gaps": 2}
    )
    assert from_finding(to_finding(made)) == made


@pytest.mark.parametrize(
    "answer",
    [
        Description(RecordingDescription("maxwell", (STREAM,), ("well000/rec0001",))),
        Description(RecordingDescription("", (STREAM,))),
        Description(failure=FAILURE),
        Description(members=(Member("r1", ("r1/a.bin", "r1/b.bin")), Member("r2", ()))),
    ],
)
def test_a_description_survives(answer):
    assert from_description(to_description(answer)) == answer
    assert Description.from_json(answer.to_json()) == answer


@pytest.mark.parametrize(
    "answer",
    [
        Examination(
            (Finding("low_ram", FindingLevel.WARN, "1 GiB.", "Buy.", FailureCategory.RESOURCE),),
            STREAM,
            ResourceEstimate(4, 3, 2, 1.5, (StageEstimate("sort", 4, 3, 2, 1.5),)),
            measurements={"n_channels": 8},
        ),
        Examination(failure=FAILURE),
    ],
)
def test_an_examination_survives(answer):
    assert from_examination(to_examination(answer)) == answer
    assert Examination.from_json(answer.to_json()) == answer
