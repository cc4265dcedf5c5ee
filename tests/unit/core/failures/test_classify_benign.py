"""A sort that fails for a reason of its own must not be blamed on the machine."""

import pytest
from tests.corpus.benign import benign_log

from spikefleet.core.failures.classify import Evidence, classify
from spikefleet.core.failures.codes import FailureCategory

BLAMES = {FailureCategory.ENVIRONMENT, FailureCategory.RESOURCE}
ENDS = {
    "exit 1": {"exit_code": 1},
    "a crash": {"signal": 11},
    "an exception that only says that it failed": {
        "exit_code": 1,
        "child_failure": {
            "exception_type": "RuntimeError",
            "module": "builtins",
            "message": "kilosort ended with non-zero exit code: 1",
        },
    },
    "silence": {
        "exit_code": 1,
        "child_failure": {
            "exception_type": "ValueError",
            "module": "builtins",
            "message": "n_samples=3 should be >= n_clusters=6.",
        },
    },
    "an unknown exception": {
        "exit_code": 1,
        "child_failure": {
            "exception_type": "KeyError",
            "module": "builtins",
            "message": "'amplitude'",
        },
    },
}


@pytest.mark.parametrize("end", ENDS)
def test_no_benign_log_blames_the_machine_or_its_limits(end):
    blamed = {}
    for seed in range(1000):
        failure = classify(
            Evidence("kilosort4", step="sort", log_tail=benign_log(seed), **ENDS[end])
        )
        if failure.category in BLAMES:
            blamed[seed] = (failure.rule_id, failure.evidence)
    assert blamed == {}


def test_the_benign_logs_are_tempting():
    """They hold the very words that rules look for, or the test above would prove nothing."""
    text = "".join(benign_log(seed) for seed in range(50))
    for words in (
        "CUDA out of memory",
        "No space left on device",
        "License checkout failed",
        "HDF5_PLUGIN_PATH",
        "dial tcp: lookup",
        "Unable to allocate",
        "Traceback (most recent call last):",
    ):
        assert words in text


@pytest.mark.parametrize(
    "last",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "OSError: [Errno 28] No space left on device",
        "MemoryError: Unable to allocate 3.20 GiB for an array",
    ],
)
def test_the_same_words_at_the_end_are_believed(last):
    log = benign_log(3) + last + "\n"
    assert classify(Evidence("kilosort4", exit_code=1, log_tail=log)).category in BLAMES
