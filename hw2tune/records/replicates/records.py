"""Replicates on disk: the same configuration trained on several seeds, with the arrays that figures need.

    ray_results/<name>/replicates/
        gallery.npz                      test images that figures may show
        pixels.npz                       `counts` (C, 256): how often each raw value occurs in the training images
        trainings/<key>/                 see `trainings.py`
        current.json                     Current: which replicates count (others are of an earlier winner or number of
                                         seeds), and the race in which their tuned configuration was chosen
        <variant>/<seed>/replicate.json  Replicate
        <variant>/<seed>/arrays.npz      predictions, weights, feature maps

Written when replicates train; the report reads them without torch and Ray.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hw2tune.paths import safe_name
from hw2tune.records.layout import StudyFolder
from hw2tune.study.hyperparameters import Value

GALLERY_SIZE = 1000  # test images kept for figures, drawn at random: enough right, wrong, fixed and broken ones
FEATURE_IMAGES = 3  # of the gallery, the first so many have their feature maps kept

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Test images that figures may show: a fixed random choice, the same for every variant and seed."""

    indices: Array  # (G,) int64, into the test split
    images: Array  # (G, H, W, C) uint8
    labels: Array  # (G,) int64


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One network on one split. `split` is its name; `overlaps_training` puts a caveat beside it."""

    split: str
    epoch: int
    loss: float | None  # None if it is not finite
    accuracy: float
    correct: int
    total: int
    overlaps_training: bool = False


@dataclass(frozen=True, kw_only=True)
class Replicate:
    """One configuration trained on one seed.

    `epochs` hold the fields of `train.state.Epoch`. Test is read at the epoch that validation chose, and at the last.
    A replicate that diverged or failed has its epochs up to there and no evaluation.
    """

    study: str
    variant: str
    seed: int
    params: dict[str, Value]
    model: str
    loss: str
    state: str
    reason: str
    epochs: list[dict[str, Any]]
    chosen: Evaluation | None
    last: Evaluation | None
    seconds: float
    key: str  # a digest of the variant and of all that its training depends on

    def chosen_blindly(self, objective: str) -> bool:
        """Return whether it was tested at an epoch without a finite objective."""
        return chosen_blindly(self.epochs, self.chosen.epoch if self.chosen else None, objective)


def chosen_blindly(epochs: Sequence[Mapping[str, Any]], chosen: int | None, objective: str) -> bool:
    """Return whether the objective is not finite in the chosen epoch.

    Version 0.1 could choose the first epoch so, with an objective of the user's that was NaN there.
    """
    return any(one.get("epoch") == chosen and not math.isfinite(one.get(objective) or 0.0) for one in epochs)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One trial in the race: its value in the search, and on each seed."""

    trial: int
    params: dict[str, Value]
    search_value: float
    values: list[float | None]  # best value of the objective on each of the first of `Race.seeds`; None: diverged
    expected: float | None = None  # posterior mean, by which the winner is chosen; None where it diverged
    probability: float | None = None  # of being the best; earlier versions had neither


@dataclass(frozen=True, kw_only=True)
class Race:
    """How the tuned configuration was chosen: the best trials again, on seeds, by validation alone."""

    objective: str
    direction: str
    seeds: list[int]
    candidates: list[Candidate]  # in the order of the search
    winner: int  # trial number


@dataclass(frozen=True)
class Current:
    """Which replicates count, by their keys, and the race that chose among them: one file, so that they agree."""

    keys: list[str]
    race: Race | None = None


@dataclass(frozen=True)
class ReplicatesFolder:
    """Where a study's replicates lie."""

    root: Path

    @classmethod
    def of(cls, study: StudyFolder) -> ReplicatesFolder:
        """The replicates of a study."""
        return cls(study.root / "replicates")

    @property
    def gallery(self) -> Path:
        return self.root / "gallery.npz"

    @property
    def pixels(self) -> Path:
        return self.root / "pixels.npz"

    @property
    def current(self) -> Path:
        return self.root / "current.json"

    @property
    def race(self) -> Path:
        """Where earlier versions kept the race."""
        return self.root / "race.json"

    @property
    def trainings(self) -> Path:
        return self.root / "trainings"

    def replicate(self, variant: str, seed: int) -> Path:
        """The folder of one replicate; one that an earlier version named by the variant's text stays in use."""
        place, earlier = (self.root / name / str(seed) for name in (safe_name(variant), variant))
        return earlier if earlier != place and earlier / "replicate.json" in self.records() else place

    def records(self) -> list[Path]:
        """Every `replicate.json`, by variant and by seed."""
        return sorted(
            (path for path in self.root.rglob("replicate.json") if path.parent.name.isdecimal()),
            key=lambda path: (path.parent.parent, int(path.parent.name)),
        )
