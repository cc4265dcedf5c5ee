"""Amounts are read as Kubernetes reads them, and written so that nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.infra.launchers.kubernetes.quantities import bytes_of, quantity_of


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("0", 0), ("1048576", 1 << 20), ("32Gi", 32 << 30), ("1.5Ki", 1536), ("500M", 500_000_000),
     ("1e3", 1000), ("100m", 1), ("2Ti", 2 << 40)],
)  # fmt: skip
def test_every_way_of_writing_an_amount_is_read(text: str, n_bytes: int) -> None:
    assert bytes_of(text) == n_bytes


@pytest.mark.parametrize("text", ["", "Gi", "12GB", "-1Gi", "1 Gi", "0x10", "1Gib"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount"):
        bytes_of(text)


@given(st.integers(0, 1 << 50))
def test_what_is_written_is_never_less_than_what_was_asked_for(n_bytes: int) -> None:
    assert n_bytes <= bytes_of(quantity_of(n_bytes)) < n_bytes + (1 << 20)
