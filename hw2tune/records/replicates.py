"""Replicates and trainings on disk: one configuration on several seeds, with the arrays that figures need.

    ray_results/<name>/replicates/
        gallery.npz                      test images that figures may show
        pixels.npz                       `counts` (C, 256): how often each raw value occurs in the training images
        current.json                     Current: which replicates count (others are of an earlier winner or number of
                                         seeds), and the race in which their tuned configuration was chosen
        <variant>/<seed>/replicate.json  Replicate
        <variant>/<seed>/arrays.npz      predictions, weights, feature maps
        trainings/<key>/training.json    Training, but for its arrays, under a key of all that it depends on
        trainings/<key>/weights.npz      `chosen/<parameter>`, `last/<parameter>`, `initial_norms/<parameter>`

Written when replicates train; the report reads them without torch and Ray.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, FiniteFloat

from hw2tune.paths import safe_name
from hw2tune.records.arrays import Array, read_npz, write_npz
from hw2tune.records.atomic import read_record, write_atomically
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import Below, StudyFolder
from hw2tune.study.hyperparameters import Value, of_their_kinds
from hw2tune.study.schema import TUNED
from hw2tune.text.plain import strict_json

if TYPE_CHECKING:
    from hw2tune.records.overview import Overview

GALLERY_SIZE = 1000  # test images kept for figures, drawn at random: enough right, wrong, fixed and broken ones
FEATURE_IMAGES = 3  # of the gallery, the first so many have their feature maps kept
QUANTITIES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")  # of every epoch


def _sound_epoch(record: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of an epoch's record. Raises ValueError if it has no epoch, or a word for a quantity."""
    numbers = {name: value for name, value in record.items() if type(value) in (int, float)}
    if not isinstance(numbers.get("epoch"), int) or any(
        name not in numbers and record.get(name) is not None for name in QUANTITIES
    ):
        raise ValueError("an epoch has a number, and numbers for its quantities")
    return numbers


def _sound_params(params: dict[str, Value]) -> dict[str, Value]:
    if not of_their_kinds(params):
        raise ValueError("a hyperparameter of another kind")
    return params


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Test images that figures may show: a fixed random choice, the same for every variant and seed."""

    indices: Array  # (G,) int64, into the test split
    images: Array  # (G, H, W, C) uint8
    labels: Array  # (G,) int64


@dataclass(frozen=True, kw_only=True)
class Replicate:
    """One configuration trained on one seed. What breaks a constraint in a file is no replicate (`read_record`).

    `epochs` are records of `train.loop.train_epochs`, read back without what is no number. Test is read at the epoch
    that validation chose, and at the last; a replicate that diverged has its epochs up to there and no evaluation.
    """

    study: str
    variant: str
    seed: int
    params: Annotated[dict[str, Value], AfterValidator(_sound_params)]
    model: str
    loss: str
    state: str
    reason: str
    epochs: list[Annotated[dict[str, Any], AfterValidator(_sound_epoch)]]
    chosen: Evaluation | None
    last: Evaluation | None
    seconds: FiniteFloat
    key: str  # a digest of the variant and of all that its training depends on

    def has(self, metric: str) -> bool:
        """Return whether it was tested in a metric, or diverged; earlier versions tested for accuracy alone."""
        return self.chosen is None or metric in ("accuracy", self.chosen.metric)

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
    expected: float | None = None  # posterior mean, by which the winner is chosen; None if it diverged
    probability: float | None = None  # of being the best; earlier versions had neither


@dataclass(frozen=True, kw_only=True)
class Race:
    """The choice of the tuned configuration: the best trials again, on seeds, by validation only."""

    objective: str
    direction: str
    seeds: list[int]
    candidates: list[Candidate]  # in the order of the search
    winner: int  # trial number
    image_error: float | None = None  # deviation that the validation images add to a candidate, which the probabilities
    # include; earlier versions included none
    trials: list[int] | None = None  # that had ended before it, by number; earlier versions noted none


@dataclass(frozen=True)
class Current:
    """The keys of the replicates that count, and the race that chose among them: one file, so that they agree."""

    keys: list[str]
    race: Race | None = None


@dataclass(kw_only=True)
class Training:
    """One finished training: the record of each epoch (`train.loop.train_epochs`) and, if it is kept, its weights.

    `diverged` says how, and is empty otherwise. `label` (`tuned seed 3`, `race: trial 5 seed 1001`) and `params` are
    for people; earlier versions had neither. `arrays` are numpy, by the names in `weights.npz`.
    """

    key: str
    epochs: list[dict[str, Any]]
    chosen_epoch: int | None
    diverged: str
    label: str = ""
    params: dict[str, Value] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time spent training, validation included."""
        return float(sum(epoch["epoch_seconds"] for epoch in self.epochs))

    def value(self, objective: str) -> float | None:
        """Return the objective at the epoch chosen by validation; None if the training diverged."""
        epoch = None if self.diverged else self.chosen_epoch
        return None if epoch is None else float(self.epochs[epoch - 1][objective])

    def weights(self, which: str) -> dict[str, Array]:
        """The `chosen` or `last` weights by parameter name."""
        return {name.removeprefix(f"{which}/"): a for name, a in self.arrays.items() if name.startswith(f"{which}/")}


@dataclass(frozen=True)
class ReplicatesFolder:
    """The folder of a study's replicates."""

    root: Path

    gallery = Below("gallery.npz")
    pixels = Below("pixels.npz")
    current = Below("current.json")
    race = Below("race.json")  # of earlier versions
    trainings = Below("trainings")

    @classmethod
    def of(cls, study: StudyFolder) -> ReplicatesFolder:
        return cls(study.root / "replicates")

    def replicate(self, variant: str, seed: int) -> Path:
        """The folder of one replicate; one that an earlier version named by the variant's text stays in use."""
        place, earlier = (self.root / name / str(seed) for name in (safe_name(variant), variant))
        return earlier if earlier != place and earlier / "replicate.json" in self.records() else place

    def records(self) -> list[Path]:
        """Every `replicate.json`, also one that is no file, by variant and by seed."""
        places = (Path(place) for place, *names in os.walk(self.root) if "replicate.json" in chain(*names))
        seeds = sorted((one for one in places if one.name.isdecimal()), key=lambda one: (one.parent, int(one.name)))
        return [seed / "replicate.json" for seed in seeds]


def write_replicate(folder: ReplicatesFolder, replicate: Replicate, arrays: bytes) -> None:
    """Write one replicate, its record last: a record without arrays is then no kill's doing.

    `arrays` is an .npz file with

        labels, predicted            (N,) uint8     the test split at the chosen epoch (uint16 above 256 classes)
        confidence                   (N,) float32   probability of the predicted class
        logits                       (N, K) float16 unless they are larger than train.evaluate.LOGITS_BYTES
        losses                       (N,) float32   of each image, if the objective is the loss
        resampled                    (B,) float64   the objective's metric on samples of the images, if it is no mean
        last_predicted               (N,)           the same at the last epoch
        weights/<parameter>          float32        at the last epoch, e.g. weights/conv1.weight
        initial_norms/<parameter>    ()  float32    L2 norm before training
        features/<layer>             (F, C, H, W) float32   first and last convolution, last epoch, first F images
    """
    place = folder.replicate(replicate.variant, replicate.seed)
    write_atomically(place / "arrays.npz", arrays)
    write_json(place / "replicate.json", asdict(replicate))


def write_current(folder: ReplicatesFolder, keys: Iterable[str], race: Race | None = None) -> None:
    """Write which replicates count, by their keys, and after which race, before the first of them is written."""
    write_json(folder.current, asdict(Current(keys=sorted(keys), race=race)))
    if race is not None:
        folder.race.unlink(missing_ok=True)


def read_replicates(folder: ReplicatesFolder) -> list[Replicate]:
    """The replicates that count, by variant and by seed."""
    current = read_record(folder.current, Current)
    return [one for one in every_replicate(folder) if current is None or one.key in current.keys]


def every_replicate(folder: ReplicatesFolder) -> list[Replicate]:
    """Also those of an earlier winner, and of claims about another unit."""
    read = [(path.parent, read_record(path, Replicate)) for path in folder.records()]
    return [one for place, one in read if one and folder.replicate(one.variant, one.seed) == place]


def read_arrays(folder: ReplicatesFolder, variant: str, seed: int) -> dict[str, Array] | None:
    """The arrays of one replicate; None if the file is missing or damaged."""
    return read_npz(folder.replicate(variant, seed) / "arrays.npz")


def write_shared(folder: ReplicatesFolder, gallery: Gallery, pixel_counts: NDArray[np.int64]) -> None:
    """Write what all replicates share."""
    write_npz(folder.gallery, asdict(gallery))
    write_npz(folder.pixels, {"counts": pixel_counts})


def read_gallery(folder: ReplicatesFolder) -> Gallery | None:
    """The test images for figures; None if the file is missing or damaged."""
    arrays = read_npz(folder.gallery) or {}
    known = {name: arrays[name] for name in Gallery.__dataclass_fields__ if name in arrays}
    return Gallery(**known) if len(known) == len(Gallery.__dataclass_fields__) else None


def read_pixel_counts(folder: ReplicatesFolder) -> NDArray[np.int64] | None:
    """(C, 256) counts of raw values in the training images; None if the file is missing or damaged."""
    return (read_npz(folder.pixels) or {}).get("counts")


def read_race(folder: ReplicatesFolder) -> Race | None:
    """The race that chose the tuned configuration; None before it."""
    current = read_record(folder.current, Current)
    return current.race if current and current.race else read_record(folder.race, Race)


def race_winners(overview: Overview) -> dict[str, int]:
    """Return the trial that won each race so far: `tuned`, or in a study with arms by the name of the search."""
    found = {TUNED: overview} if not overview.searches else {one.folder.root.name: one for one in overview.searches}
    races = {name: read_race(ReplicatesFolder.of(one.folder)) for name, one in found.items()}
    return {name: race.winner for name, race in races.items() if race}


def training_key(depends_on: Mapping[str, Any]) -> str:
    """Return a short digest of everything that a training depends on."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]


def write_training(folder: Path, training: Training) -> None:
    """Write a training, its record last: a kill never leaves a record without weights."""
    write_npz(folder / training.key / "weights.npz", training.arrays, durable=True)
    record = {name: value for name, value in vars(training).items() if name != "arrays"}
    write_json(folder / training.key / "training.json", record)


def read_training(folder: Path, key: str) -> Training | None:
    """Return the training of this key, or None if it is missing or damaged and must be trained again."""
    training = read_record(folder / key / "training.json", Training)
    arrays = read_npz(folder / key / "weights.npz")
    return replace(training, arrays=arrays) if training and arrays else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, null for each number that is not finite."""
    write_atomically(path, strict_json(content, indent=1) + "\n", durable=True)
