"""Rates, not counts, tell a silent recording from an active one."""

import pytest

from spikefleet.core.failures.classify import Evidence, classify
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.measured.kilosort2 import read_counts

F = FailureCode
LAUNCH = "-" * 40 + "The CUDA error was: invalid configuration argument\n"


def code_of(log, **measured):
    evidence = Evidence("kilosort2", exit_code=1, log_tail=log, preflight=measured)
    return classify(evidence).code


def crossings(count, seconds=100.0):
    return f"found {count} threshold crossings in {seconds:.2f} seconds of data\n{LAUNCH}"


def test_both_sides_of_the_rate():
    assert code_of(crossings(999), n_channels=100) is F.INSUFFICIENT_ACTIVITY
    assert code_of(crossings(1000), n_channels=100) is F.SORTER_CRASH


def test_the_same_count_means_another_thing_on_another_array():
    assert code_of(crossings(5000), n_channels=1020) is F.INSUFFICIENT_ACTIVITY
    assert code_of(crossings(5000), n_channels=16) is F.SORTER_CRASH


def test_without_a_channel_count_crossings_prove_nothing():
    assert code_of(crossings(3)) is F.SORTER_CRASH


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("9.1 sec, 1 / 850 batches, 3 units, nspks: 1.02, mu: 2", F.SORTER_CRASH),
        ("9.1 sec, 101 / 850 batches, 3 units, nspks: 1.02, mu: 2", F.INSUFFICIENT_ACTIVITY),
        ("9.1 sec, 101 / 850 batches, 6 units, nspks: 4.10, mu: 2", F.INSUFFICIENT_ACTIVITY),
        ("9.1 sec, 101 / 850 batches, 6 units, nspks: 5.10, mu: 2", F.SORTER_CRASH),
    ],
)
def test_progress_is_believed_from_the_second_line_on(line, code):
    assert code_of(f"{line}\n{LAUNCH}") is code


@pytest.mark.parametrize(("bad", "code"), [(31, F.SORTER_CRASH), (32, F.NO_GOOD_CHANNELS)])
def test_every_channel_bad_is_told_by_the_known_count(bad, code):
    log = f"found {bad} bad channels\n{LAUNCH}"
    assert code_of(log, n_channels=32) is code
    assert code_of(f"Recording has 32 channels\n{log}") is code


def test_the_counts_may_stand_at_the_beginning_of_a_long_log():
    head = "found 40 threshold crossings in 200.00 seconds of data\n"
    failure = classify(
        Evidence(
            "kilosort2",
            exit_code=1,
            log_head=head,
            log_tail=LAUNCH,
            preflight={"n_channels": 64},
        )
    )
    assert failure.code is F.INSUFFICIENT_ACTIVITY
    assert failure.evidence["threshold_crossings"] == 40


def test_the_last_count_of_each_kind_is_taken():
    counts = read_counts("found 1 bad channels\nfound 5 bad channels\nonly had 0 spikes\n")
    assert (counts.bad_channels, counts.channels, counts.empty_batches) == (5, None, 1)
