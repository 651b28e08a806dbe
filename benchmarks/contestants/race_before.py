"""`Finalists` of version 83dc8fd, for `benchmarks.race`: its prior is fitted on the finalists themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SAFE, TRAININGS, DRAWS = 0.95, 2, 4000


@dataclass
class FinalistsBefore:
    """State of a race. `search` (K,) and `values`, by finalist and seed: larger is better."""

    search: Sequence[float]
    values: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = self.values or [[] for _ in self.search]

    def posterior(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return means and standard deviations (K,) of the finalists' true means."""
        seen = [[search, *values] for search, values in zip(self.search, self.values, strict=True)]
        counts, means = np.array([len(one) for one in seen]), np.array([np.mean(one) for one in seen])
        within = sum(float(np.var(one)) * len(one) for one in seen)
        noise = within / max(1, int(counts.sum()) - len(seen)) or 1e-12
        spread = max(float(np.var(means, ddof=1)) - noise / counts.mean(), 0.1 * noise) if len(seen) > 1 else noise
        precision = counts / noise + 1 / spread
        return (counts / noise * means + means.mean() / spread) / precision, 1 / np.sqrt(precision)

    def chances(self) -> NDArray[np.float64]:
        """Return the probability of each finalist to be the best (K,)."""
        mean, deviation = self.posterior()
        drawn = mean + deviation * np.random.default_rng(0).standard_normal((DRAWS, len(mean)))
        return np.bincount(drawn.argmax(1), minlength=len(mean)) / DRAWS

    def next(self) -> list[int]:
        """Return the finalists to train next; none if the race is over."""
        if untried := [number for number, values in enumerate(self.values) if not values]:
            return untried
        chances, had = self.chances(), sum(map(len, self.values))
        if len(chances) == 1 or chances.max() > SAFE or had + 2 > TRAININGS * len(chances):
            return []
        return [int(number) for number in np.argsort(-chances, kind="stable")[:2]]

    @property
    def winner(self) -> int:
        """The finalist with the best posterior mean."""
        return int(self.posterior()[0].argmax())
