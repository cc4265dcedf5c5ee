"""A document survives the way into a Struct and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.infra.rpc.convert.structs import from_struct, to_struct

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
DOCUMENTS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


def _as_told(value):
    """Integers a double cannot hold travel as text; everything else is as it was."""
    if isinstance(value, dict):
        return {key: _as_told(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_told(item) for item in value]
    too_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53
    return str(value) if too_large else value


@given(DOCUMENTS)
def test_a_document_survives_a_struct(document) -> None:
    assert from_struct(to_struct(document)) == _as_told(document)


def test_integral_numbers_come_back_as_integers() -> None:
    back = from_struct(to_struct({"n": 3, "x": 2.5, "y": 4.0, "flag": True}))
    assert [type(back[key]) for key in ("n", "x", "y", "flag")] == [int, float, int, bool]


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        to_struct({"x": object()})
