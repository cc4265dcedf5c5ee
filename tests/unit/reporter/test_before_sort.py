"""What the report says of the time before the sort."""

import pytest

from spikefleet.reporter.before_sort import join_findings, tell_blind_guards, tell_canary

TRIED = {"window_s": [69.5, 121.5], "chosen_by": "activity", "wall_s": 12.0}


def test_what_both_machines_noticed_is_told_once() -> None:
    of_service = [{"code": "low_ram", "level": "warn", "message": "here"}]
    node = {"findings": [{"code": "low_ram", "message": "there"}, {"code": "gpu_ecc"}]}
    joined = join_findings(of_service, node)
    assert [(f["code"], f.get("message")) for f in joined] == [
        ("low_ram", "here"),
        ("gpu_ecc", None),
    ]
    assert join_findings([], {}) == []


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        ({"state": "passed", **TRIED, "n_units": 3}, "69.5 s to 121.5 s"),
        ({"state": "passed", **TRIED, "n_units": 3}, "passed in 12 s with 3 units"),
        ({"state": "skipped", "reason": "too short"}, "No trial was made: too short."),
        ({"state": "remembered", "reason": "it passed."}, "No trial was made: it passed."),
        (
            {"state": "inconclusive", **TRIED, "code": "insufficient_activity", "reason": "Quiet."},
            "insufficient_activity, which proves nothing of the whole: Quiet.",
        ),
        ({"state": "blocked", **TRIED, "reason": "No kilosort."}, "the sort was not started"),
        ({"state": "interrupted"}, "A trial was interrupted."),
    ],
)
def test_every_end_of_a_trial_is_one_sentence(canary: dict, words: str) -> None:
    assert words in tell_canary(canary)
    assert tell_canary(canary).endswith(".")


def test_without_a_trial_nothing_is_said() -> None:
    assert tell_canary({}) == ""


def test_a_trial_that_made_the_sort_begin_smaller_says_so():
    canary = {
        "state": "inconclusive",
        "code": "gpu_out_of_memory",
        "reason": "Full.",
        "changes": {"sorter_params": {"batch_size": 30000}},
    }
    assert tell_canary(canary).endswith("So the sort began one step down, with batch_size=30000.")


def test_a_blind_guard_is_told():
    told = tell_blind_guards({"io_stall": "no counters"})
    assert told == ["The guard io stall could not judge all the time: no counters."]
    assert tell_blind_guards({}) == []
