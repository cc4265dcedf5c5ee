"""Makes the table of the dip test: ``python -m scripts.dip_table [FILE]``, in some fifteen minutes.

For every size, samples of a uniform distribution, the dip of each, and the quantiles of √n·dip. A
sample in ascending order is the running sum of exponential waiting times, so nothing is sorted. The
same seed makes the same table.
"""

import json
import sys
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from rich.progress import Progress

from spikefleet.rt_sort.dip import dip_of_sorted

TABLE = Path(__file__).resolve().parents[1] / "services/spikefleet/rt_sort/dip_table.json"
SEED = 20240117
SIZES = (
    *(4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1000, 2000, 5000, 10_000, 20_000, 40_000, 72_000),
)
PROBABILITIES = (
    *(0.0, 0.01, 0.02, 0.05, *(round(0.1 + 0.05 * step, 2) for step in range(17)), 0.95),
    *(0.98, 0.99, 0.995, 0.998, 0.999, 0.9995),
)
MOST_SAMPLES, LEAST_SAMPLES, VALUES = 1_000_000, 30_000, 200_000_000


@njit(nogil=True)
def _dips(waits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The dip of every row of samples x (n + 1) waiting times; the last one is not used."""
    dips = np.empty(len(waits))
    for row in range(len(waits)):
        dips[row] = dip_of_sorted(np.cumsum(waits[row, :-1]))
    return dips


def quantiles(size: int, n_samples: int, progress: Progress) -> list[float]:
    """Return √n·dip at every probability."""
    rng = np.random.default_rng([SEED, size])
    dips = np.empty(n_samples)
    at_once = max(1, 1_000_000 // size)
    for start in progress.track(range(0, n_samples, at_once), description=f"{size} values"):
        end = min(start + at_once, n_samples)
        dips[start:end] = _dips(rng.standard_exponential((end - start, size + 1)))
    return [round(value, 5) for value in np.quantile(np.sqrt(size) * dips, PROBABILITIES)]


def main(path: Path) -> None:
    """Write the table."""
    with Progress() as progress:
        rows = [
            quantiles(size, min(max(VALUES // size, LEAST_SAMPLES), MOST_SAMPLES), progress)
            for size in SIZES
        ]
    document = {"sizes": SIZES, "probabilities": PROBABILITIES}
    head = json.dumps(document)[:-1]
    body = ",\n  ".join(json.dumps(row) for row in rows)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(f'{head},\n "root_n_dip": [\n  {body}\n]}}\n', encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE)
