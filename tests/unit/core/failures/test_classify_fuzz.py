"""Anything may be in a log or a document. Nothing of it crashes, and noise holds no lane."""

import json
import os
import random
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.corpus.cases import evidence, recorded, told

from spikefleet.core.failures.classify import Evidence, classify, read_log_tail
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import read_json

QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
DOCUMENT_KEYS = ("exception_type", "module", "message", "errno", "frames", "trace_tail", "step")
MEASURED_KEYS = (
    "n_channels",
    "flat_channels",
    "saturated_channels",
    "rail_fraction",
    "silent_fraction",
    "first_non_finite_s",
    "median_noise_uv",
    "median_peak_to_peak_uv",
    "scale",
    "n_crossings",
    "n_crossings_noise",
    "activity_over_time",
    "n_samples",
    "duration_s",
    "sampling_rate_hz",
    "distinct_locations",
    "sorter_params",
    "digest_verified",
)
BACKENDS = ("kilosort4", "kilosort2", "rt_sort", "lupin", "mountainsort5", "from_the_future")
CASES = [*recorded(), *told()]


def any_of(keys):
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, ANY_JSON))


def check(failure):
    """A failure of whatever kind can be stored and read back."""
    assert failure.message
    again = Failure.from_json(json.loads(json.dumps(failure.to_json(), default=str)))
    assert again.code is failure.code


@QUICK
@given(
    data=st.binary(max_size=4000), code=st.none() | st.integers(-70, 300), number=st.integers(0, 80)
)
def test_random_bytes_as_a_log_hold_no_lane(data, code, number):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "child.log"
        path.write_bytes(data)
        tail = read_log_tail(path)
    given_code = None if code in range(80, 115) else code  # our own exit codes are true evidence
    for backend in BACKENDS:
        failure = classify(
            Evidence(backend, exit_code=given_code, signal=number or None, log_tail=tail)
        )
        check(failure)
        assert failure.category is not FailureCategory.ENVIRONMENT


@QUICK
@given(document=any_of(DOCUMENT_KEYS), classified=ANY_JSON, measured=any_of(MEASURED_KEYS))
def test_any_document_and_any_measurements_give_a_failure(document, classified, measured):
    for backend in ("kilosort4", "tridesclous2"):
        failure = classify(
            Evidence(
                backend,
                exit_code=1,
                child_failure={**document, "classified": classified},
                preflight=measured,
            )
        )
        check(failure)
        assert failure.category is not FailureCategory.ENVIRONMENT


@QUICK
@given(number=st.integers(0, len(CASES) - 1), measured=any_of(MEASURED_KEYS))
def test_any_measurements_beside_a_real_end_give_a_failure(number, measured):
    with tempfile.TemporaryDirectory() as folder:
        real = evidence(CASES[number], Path(folder))
    check(classify(Evidence(real.backend, exit_code=1, child_failure=real.child_failure)))
    check(
        classify(
            Evidence(
                real.backend,
                exit_code=real.exit_code,
                signal=real.signal,
                child_failure=real.child_failure,
                log_tail=real.log_tail,
                preflight=measured,
            )
        )
    )


@QUICK
@given(number=st.integers(0, len(CASES) - 1), seed=st.integers(0, 10**6))
def test_a_real_log_with_bytes_broken_in_it_crashes_nothing(number, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        real = evidence(CASES[number], Path(folder))
        data = bytearray(real.log_tail.encode())
        for _ in range(min(len(data), 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = Path(folder) / "broken.log"
        path.write_bytes(bytes(data))
        check(classify(Evidence(real.backend, exit_code=1, log_tail=read_log_tail(path))))


@QUICK
@given(data=st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"\xff\xfe{}")
@example(b'{"n": ' + b"9" * 6000 + b"}")
@example(b"{}garbage")
def test_any_file_read_as_a_document_is_a_table_or_nothing(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome.json"
        path.write_bytes(data)
        assert read_json(path) is None or isinstance(read_json(path), dict)


def test_a_document_without_end_is_not_read(tmp_path):
    path = tmp_path / "outcome.json"
    with path.open("wb") as handle:
        handle.truncate(80 << 20)
    assert read_json(path) is None
    assert read_json(tmp_path) is None


def test_megabytes_of_random_bytes_are_classified(tmp_path):
    path = tmp_path / "child.log"
    path.write_bytes(os.urandom(3_000_000))
    failure = classify(Evidence("kilosort2", exit_code=1, log_tail=read_log_tail(path)))
    assert failure.code is FailureCode.UNCLASSIFIED
