"""How an inspection reads to a person."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from spikefleet.cli.inspect_view import inspection_lines
from spikefleet.core.failures.errors import (
    Failure,
    HDF5PluginMissingError,
    InputCorruptError,
    InsufficientActivityError,
)
from spikefleet.core.findings.finding import note, warn
from spikefleet.core.recording.description import StreamDescription
from spikefleet.signal.measuring.summary import (
    ProbeSummary,
    RecordingInspection,
    ScaleSummary,
    StreamInspection,
)


def _text(found: RecordingInspection, drawn: list[dict[str, str]]) -> str:
    printed = Console(width=200, record=True)
    for line in inspection_lines(Path("plate"), found, drawn):
        printed.print(line)
    return printed.export_text()


def _well(name: str, **known: object) -> StreamInspection:
    described = StreamDescription(name, 4, 20000.0, 60.0, "uint16")
    known = {"n_samples": 1_200_000, **known}
    return StreamInspection(described, **known)  # type: ignore[arg-type]


def test_a_doubt_that_wells_share_takes_one_row_and_a_broken_well_says_why() -> None:
    unsigned = note("unsigned", "Samples are unsigned.")
    gap = warn("frame_gaps", "5 frames are missing.")
    broken = Failure.from_error(InputCorruptError("It ends early.", path="x", reason="truncated"))
    found = RecordingInspection(
        "maxwell",
        1000,
        1,
        (
            _well("well000", findings=(unsigned,)),
            _well("well001", findings=(unsigned, gap), frame_gaps=((10, 2), (20, 3))),
            StreamInspection(StreamDescription("well002", 0, 0.0, 0.0, ""), refusal=broken),
        ),
        ("well000/rec0001",),
        ("intan (day.rhd)",),
    )
    text = _text(found, [{}, {"trace": "a.png"}, {"probe_refused": "no positions"}])
    assert text.count("Samples are unsigned.") == 1
    assert "well000, well001" in text
    assert "2 at frame 10, 3 at frame 20" in text
    assert "well002: It ends early." in text
    assert "Next: " in text
    assert "intan (day.rhd)" in text
    assert "drawn: a.png" in text
    assert "no probe picture: no positions" in text


def test_scale_and_probe_are_told_with_their_units() -> None:
    found = RecordingInspection(
        "intan",
        1000,
        1,
        (
            _well(
                "amplifier",
                scale=ScaleSummary((0.195, 0.195), (-6389.76, -6389.76), False),
                probe=ProbeSummary(("imec NP2010",), 4, 2, (0.0, 250.0), (0.0, 705.0)),
                tables={"stimulation": 3},
            ),
        ),
        (),
        (),
    )
    text = _text(found, [{}])
    assert "0.195 µV/bit - 6390 µV" in text
    assert "imec NP2010: 4 contacts, 2 shanks, 250 x 705 µm" in text
    assert "3 stimulation" in text
    assert "findings" not in text


def test_a_reason_that_wells_share_is_told_once() -> None:
    broken = Failure.from_error(InputCorruptError("It ends early.", path="x", reason="truncated"))
    described = StreamDescription("", 4, 20000.0, 60.0, "uint16")
    wells = tuple(
        StreamInspection(replace(described, stream=name), refusal=broken) for name in ("a", "b")
    )
    refused = {"trace_refused": broken.message}
    text = _text(RecordingInspection("maxwell", 9, 1, wells, (), ()), [refused, refused])
    assert text.count("It ends early.") == 1
    assert text.count("no trace picture: the reason is above") == 1
    assert "a, b: It ends early." in text
    assert "none" not in text


def test_a_missing_plugin_is_told_without_the_advice_for_a_held_lane() -> None:
    missing = Failure.from_error(
        HDF5PluginMissingError("Filter 401 is missing. Install it.", configured_path="/plugins")
    )
    described = StreamDescription("well000", 4, 20000.0, 60.0, "uint16")
    refused = StreamInspection(described, refusal=missing)
    text = _text(RecordingInspection("maxwell", 9, 1, (refused,), (), ()), [{}])
    assert "well000: Filter 401 is missing. Install it." in text
    assert "hold" not in text


def test_a_silent_well_is_told_what_preflight_would_say_next() -> None:
    silent = Failure.from_error(
        InsufficientActivityError("Every sample is digital zero.", reason="silent"),
        rule_id="preflight.silent",
    )
    described = StreamDescription("well002", 4, 20000.0, 60.0, "uint16")
    refused = StreamInspection(described, refusal=silent)
    text = _text(RecordingInspection("maxwell", 9, 1, (refused,), (), ()), [{}])
    assert "Next: Check that the amplifier was on" in text
    assert "threshold" not in text
