"""How large an attempt is: the range allowed, the recording's projection, what retries wish."""

import pytest

from spikefleet.core.policy.sizes import AttemptSize, SizeRange, attempt_size, larger_gpu_class

GIB = 1 << 30
RANGE = SizeRange(16 * GIB, 64 * GIB, 100 * GIB, 500 * GIB, ("24g", "40g", "80g"))


def test_a_first_attempt_gets_the_sorters_size() -> None:
    assert attempt_size(RANGE, {}, {}) == AttemptSize(16 * GIB, 100 * GIB, "24g")


@pytest.mark.parametrize(("projected", "given"), [(1, 16), (20, 20), (64, 64), (999, 64)])
def test_a_projection_raises_the_first_size_up_to_the_largest(projected: int, given: int) -> None:
    size = attempt_size(RANGE, {"memory_bytes": projected * GIB}, {})
    assert size.memory_bytes == given * GIB


def test_a_retrys_wish_outranks_the_projection_but_not_the_largest() -> None:
    estimate = {"memory_bytes": 20 * GIB, "scratch_bytes": 200 * GIB}
    wish = {"memory_limit_bytes": 30 * GIB, "scratch_bytes": 900 * GIB, "gpu_class": "40g"}
    assert attempt_size(RANGE, estimate, wish) == AttemptSize(30 * GIB, 500 * GIB, "40g")


def test_where_nothing_is_known_nothing_is_asked_for() -> None:
    assert attempt_size(SizeRange(), {"memory_bytes": 20 * GIB}, {}) == AttemptSize()


def test_a_class_that_the_facility_no_longer_has_becomes_the_smallest() -> None:
    assert attempt_size(RANGE, {}, {"gpu_class": "sold"}).gpu_class == "24g"


def test_the_next_class_is_the_one_above_until_there_is_none() -> None:
    assert [larger_gpu_class(RANGE, name) for name in ("", "24g", "40g", "80g")] == [
        "40g", "40g", "80g", ""
    ]  # fmt: skip
    assert larger_gpu_class(SizeRange(), "") == ""


def test_above_a_class_that_is_no_longer_named_is_the_smallest_of_now() -> None:
    assert larger_gpu_class(RANGE, "16g") == "24g"
    assert larger_gpu_class(SizeRange(), "16g") == ""
