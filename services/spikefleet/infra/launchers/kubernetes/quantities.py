"""Amounts as Kubernetes writes them (``32Gi``, ``500m``, ``1e9``), and as bytes. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<unit>[kMGTPm]|[KMGTP]i)?")
_MIB = 2**20


def bytes_of(quantity: str) -> int:
    """Return a quantity in bytes, rounded up. Raises ValueError for what is no quantity."""
    found = _QUANTITY.fullmatch(quantity.strip())
    if found is None:
        raise ValueError(f"{quantity!r} is no amount; write it as 32Gi, 500M or 1048576")
    exact = Decimal(found["number"]) * _UNITS[found["unit"] or ""]
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))


def quantity_of(n_bytes: int) -> str:
    """Return bytes as a quantity in MiB, rounded up: never less than was asked for."""
    return f"{-(-n_bytes // _MIB)}Mi"
