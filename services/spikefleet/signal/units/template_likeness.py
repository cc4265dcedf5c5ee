"""How alike two units' templates are at their best lag, for many pairs at little cost.

The cosine is over all channels, with zeros beyond the window. No lag makes two templates more alike
than their strengths on every channel are, so that few pairs need to be looked at lag by lag.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_LAG = 10  # samples
_AT_ONCE = 16

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class TemplateLikeness:
    """Compares templates (U, T, C); one without any height is like none."""

    def __init__(self, templates_uv: FloatArray) -> None:
        templates = templates_uv.astype(np.float32)
        norms = np.linalg.norm(templates, axis=(1, 2))
        templates /= np.where(norms > 0, norms, 1.0)[:, np.newaxis, np.newaxis]
        self._templates = templates
        self._flat = templates.reshape(len(templates), -1)
        strengths = np.linalg.norm(templates, axis=1)
        self.bounds: NDArray[np.float32] = strengths @ strengths.T  #: (U, U), never exceeded
        longest = min(MOST_LAG, max(templates.shape[1] - 1, 0))
        self._all: tuple[NDArray[np.float32], IntArray] | None = None
        # Of lags that are equally good the shortest is taken.
        self._lags = np.array(sorted(range(-longest, longest + 1), key=abs), dtype=np.int64)

    def compare_all(self) -> None:
        """Look at all pairs at once: the cheaper way where most of them have to be looked at."""
        templates, n_units = self._templates, len(self._templates)
        best = self._flat @ self._flat.T
        shifts = np.zeros((n_units, n_units), dtype=np.int64)
        for lag in range(1, int(np.abs(self._lags).max()) + 1):
            first = templates[:, lag:].reshape(n_units, -1)
            cosines = first @ templates[:, :-lag].reshape(n_units, -1).T
            for turned, shift in ((cosines, -lag), (cosines.T, lag)):
                better = turned > best
                best[better], shifts[better] = turned[better], shift
        self._all = best, shifts

    def compare(self, unit: int, others: IntArray) -> tuple[FloatArray, IntArray]:
        """Return the cosine with each of ``others`` and how many samples its spikes are moved."""
        if self._all is not None:
            every, shifts = self._all
            return every[unit, others].astype(np.float64), shifts[unit, others]
        cosines = self._flat[others] @ self._at_lags(unit).T
        best = cosines.argmax(axis=1)
        found = cosines[np.arange(len(others)), best].astype(np.float64)
        return found, -self._lags[best]

    def nearest(self, unit: int, others: IntArray) -> tuple[int, float]:
        """Return the most alike of ``others`` and its cosine; (-1, NaN) where none is alike at all.

        Of equally alike ones the first.
        """
        bounds = self.bounds[unit, others] if self._all is None else self._all[0][unit, others]
        order = np.argsort(-bounds, kind="stable")
        chosen, most = -1, 0.0
        for start in range(0, len(order), _AT_ONCE):
            part = order[start : start + _AT_ONCE]
            if bounds[part[0]] < most:
                break
            cosines, _ = self.compare(unit, others[part])
            for other, cosine in sorted(zip(others[part].tolist(), cosines.tolist(), strict=True)):
                if cosine > most or (cosine == most and 0 <= other < chosen):
                    chosen, most = other, cosine
        return (chosen, most) if chosen >= 0 else (-1, float("nan"))

    def _at_lags(self, unit: int) -> NDArray[np.float32]:
        """A template moved by each lag, with zeros beyond its window; (L, T * C)."""
        template, n_samples = self._templates[unit], self._templates.shape[1]
        moved = np.zeros((len(self._lags), *template.shape), dtype=np.float32)
        for row, lag in zip(moved, self._lags, strict=True):
            inside = slice(max(0, lag), n_samples + min(0, lag))
            row[max(0, -lag) : n_samples - max(0, lag)] = template[inside]
        return moved.reshape(len(self._lags), -1)
