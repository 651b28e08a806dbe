"""The weights of a study that a user asks for, with the facts about them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DATASETS, DatasetInfo
from hw2tune.errors import ModelError, StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution.request import load_for
from hw2tune.records.arrays import Array, read_npz
from hw2tune.records.dataset import OF_SPLIT, DatasetRecord, record_of
from hw2tune.records.layout import TrialFolder
from hw2tune.records.remote.mirror import reading_checkpoints, reading_study
from hw2tune.records.replicates import Replicate, ReplicatesFolder, read_training
from hw2tune.records.trials.epochs import DIGEST, digest, read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.arms import search_name, search_of_seed
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import TUNED, Study
from hw2tune.study.splits import split_of_seed, split_seed
from hw2tune.text.numbers import counted, listed
from hw2tune.text.plain import first_line
from hw2tune.train.task import Blueprint, task_of
from hw2tune.user_code.files import is_code

if TYPE_CHECKING:
    from torch import nn

BEST = "best"  # the variant that is the best trial


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Weights of one training after `epoch`, by parameter name: of a replicate or of a trial of the study.

    `images` are the facts about the images that it was trained on.
    """

    data: StudyData
    images: DatasetRecord
    hyperparameters: Hyperparameters
    seed: int
    epoch: int
    weights: dict[str, Array]
    replicate: Replicate | None = None
    trial: TrialRow | None = None

    @property
    def study(self) -> Study:
        """The study of the training."""
        return self.data.overview.study

    @property
    def name(self) -> str:
        """`tuned, seed 1`, `trial 6 (baseline)`."""
        if self.replicate is not None:
            return f"{self.replicate.variant}, seed {self.seed}"
        assert self.trial is not None, "a replicate or a trial"
        return f"trial {self.trial.number}" + (f" ({self.trial.label})" if self.trial.label else "")

    @property
    def info(self) -> DatasetInfo:
        """The facts about the images, as training takes them."""
        height, width, channels = self.images.image_shape
        sizes = self.images.sizes
        return DatasetInfo(
            name=self.images.name, title=self.images.label, classes=tuple(self.images.classes),
            image_shape=(height, width, channels), mean=tuple(self.images.mean), std=tuple(self.images.std),
            trainval_size=sizes.get("train", 0) + sizes.get("validation", 0), test_size=sizes.get("test", 0),
            default_validation_size=sizes.get("validation", 0),
        )  # fmt: skip

    @property
    def blueprint(self) -> Blueprint:
        """The blueprint of the network."""
        return task_of(self.study, self.hyperparameters, self.seed).blueprint(self.info)

    @property
    def unit(self) -> int:
        """The pixel value that is 1 on the scale of mean and deviation: 255 of uint8, 1 of float32."""
        return 1 if self.images.dtype == "float32" else 255

    @property
    def argument(self) -> str:
        """The argument of the script that predicts without hw2tune."""
        return "IMAGE" if self.takes_files else "PIXELS.npy"

    @property
    def takes_files(self) -> bool:
        """Return whether image files have such pixels: one or three channels, and no values below 0."""
        return self.images.image_shape[2] in (1, 3) and self.images.black_and_white[0] == 0

    def pixels_of(self, levels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return levels from 0 to 255, of an image file or noise, on the scale of the training images."""
        black, white = self.images.black_and_white
        return levels if self.unit == 255 else (black + levels / 255 * (white - black)).astype(np.float32)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The records of the training's epochs."""
        if self.replicate is not None:
            return self.replicate.epochs
        assert self.trial is not None, "a replicate or a trial"
        return read_epochs(self.data.overview.folder.trial(self.trial.number))

    @property
    def record(self) -> dict[str, Any]:
        """The record of the epoch whose weights these are; empty if it is lost."""
        return next((one for one in self.epochs if one["epoch"] == self.epoch), {})

    def network(self) -> nn.Module:
        """Return the network with these weights, on the CPU; it returns logits. Raises ModelError."""
        import torch

        from hw2tune.train.evaluate import network

        try:
            return network(self.blueprint, self.weights, self.seed, torch.device("cpu"))
        except ModelError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise ModelError(
                f"{self.study.model}: cannot be built with these weights ({type(error).__name__}: "
                f"{first_line(error)}); is its code, or the package that it is from, another than when it was trained?"
            ) from error


def find_model(
    results: str | Path,
    name: str,
    *,
    variant: str | None = None,
    seed: int | None = None,
    trial: int | None = None,
    arm: str | None = None,
    data_dir: Path | None = None,
) -> TrainedModel:
    """Return the weights of a variant on a seed (its first), of a trial, or of the race's winner, else the best trial.

    In a study with arms, `arm` is the one whose trials and winner are meant.

    The epoch is the one chosen by validation, of a trial its best one. Images are read, with `data_dir`, only if a
    study of an earlier version did not record theirs. Raises Hw2tuneError.
    """
    data = read_study_data(reading_study(results, name))
    if arm is not None and variant is None and trial is None and (of_winner := _replicates_of(data, arm)):
        variant, seed = of_winner[0].variant, of_winner[0].seed if seed is None else seed
    elif arm is not None:
        data = read_study_data(reading_study(results, f"{name}/{arm}"))
    if trial is not None and (variant is not None or seed is not None):
        raise StudyFolderError(f"trial {trial}: is one training; leave the variant and its seed out")
    replicate = _replicate(data, variant, seed) if trial is None else None
    if replicate is None and data.overview.searches:
        arms = listed([f"`{arm}`" for arm in data.overview.study.arms])
        raise StudyFolderError(f"{data.name}: the network of which arm? name one of {arms} with --arm")
    study, images = data.overview.study, _images(data, data_dir)
    row = _trial(data, variant, trial) if replicate is None else None
    if replicate is not None:
        assert replicate.chosen is not None, "a finished one"
        used = Hyperparameters.of(replicate.params)  # without those at their defaults, which [training] may change
        seed, epoch = replicate.seed, replicate.chosen.epoch
        images = _in_split(data, images, seed)
        weights = _weights_of_replicate(data, replicate)
    else:
        assert row is not None and row.best_epoch is not None, "asked before"
        used, seed, epoch = study.hyperparameters(row.params), study.seed, row.best_epoch
        reading_checkpoints(results, name, row.number)
        weights = _weights_of_trial(data, data.overview.folder.trial(row.number), row)
    return TrainedModel(
        data=data, images=images, hyperparameters=used, seed=seed, epoch=epoch,
        weights=weights, replicate=replicate, trial=row,
    )  # fmt: skip


def _replicates_of(data: StudyData, arm: str) -> list[Replicate]:
    """Return the finished replicates of the winner of an arm's search, which is called as its folder."""
    study = data.overview.study
    called = {search_name(one, n + 1): (one, n) for one in study.arms for n in range(study.searches)}
    variant, search = called.get(arm, ("", 0))
    return [one for one in data.of(variant) if one.chosen and search_of_seed(study, one.seed) == search]


def _replicate(data: StudyData, variant: str | None, seed: int | None) -> Replicate | None:
    """Return the requested replicate, or None if a trial is requested."""
    finished = [one for one in data.of(variant or TUNED) if one.chosen is not None]
    if seed is None:
        return finished[0] if finished else None
    found = next((one for one in finished if one.seed == seed), None)
    if found is None:
        there = f"finished are {listed([one.seed for one in finished])}" if finished else "it has no replicates"
        raise StudyFolderError(
            f"{data.name}: no replicate of `{variant or TUNED}` on seed {seed}; {there}; "
            f"`hw2tune summarize {data.name}` trains them"
        )
    return found


def _trial(data: StudyData, variant: str | None, number: int | None) -> TrialRow:
    rows = data.overview.rows
    if number is not None:
        row = next((row for row in rows if row.number == number), None)
        if row is None:
            raise StudyFolderError(f"{data.name}: no trial {number}; it has {counted(len(rows), 'trial')}, from 0 on")
    elif variant in (None, BEST):
        row = data.overview.best
        if row is None:
            raise StudyFolderError(
                f"{data.name}: no trial has a value yet, so there are no weights; `hw2tune study "
                f"{data.overview.folder.study_name}` goes on"
            )
    else:
        row = data.overview.labelled(variant or "")
        if row is None:
            there = [BEST, *dict.fromkeys([one.variant for one in data.replicates if one.chosen] + data.references)]
            raise StudyFolderError(f"{data.name}: no weights of a variant `{variant}`; there are {listed(there)}")
    if row.best_epoch is None:
        raise StudyFolderError(f"{data.name}: trial {row.number} has finished no epoch ({row.reason or row.state})")
    return row


def _weights_of_replicate(data: StudyData, replicate: Replicate) -> dict[str, Array]:
    key, folder = replicate.key.rpartition(" ")[2], ReplicatesFolder.of(data.overview.folder).trainings
    training = read_training(folder, key)
    if training is None or not (weights := training.weights("chosen")):
        raise StudyFolderError(
            f"{folder / key}: the weights of {replicate.variant} on seed {replicate.seed} are missing or damaged; "
            f"`hw2tune summarize {data.name}` trains them again"
        )
    return weights


def _weights_of_trial(data: StudyData, folder: TrialFolder, row: TrialRow) -> dict[str, Array]:
    """Return the weights after the best epoch: of a trial that runs, or of an earlier version, from a checkpoint."""
    if weights := read_npz(folder.weights):
        return weights
    from hw2tune.train.state import best_in

    known = {epoch.get(DIGEST) for epoch in read_epochs(folder)}
    for path in folder.checkpoints:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            if digest(content) in known and (best := best_in(content)).epoch == row.best_epoch:
                return best.weights
    raise StudyFolderError(
        f"{folder.weights}: the weights of trial {row.number} after epoch {row.best_epoch} are missing or damaged; "
        "name another --trial, or another --variant"
    )


def _in_split(data: StudyData, images: DatasetRecord, seed: int) -> DatasetRecord:
    """Return the facts about the images as the split of a replicate's seed has them. Raises StudyFolderError."""
    study = data.overview.study
    if not (split := split_of_seed(study, seed)):
        return images
    runs = [run.get("replicates", {}).get("splits") for run in reversed(data.environment)]
    records = [one for run in runs if isinstance(run, list) for one in run if isinstance(one, dict)]
    found = next((one for one in records if one.get("seed") == split_seed(study, split)), {})
    if not found.keys() >= {*OF_SPLIT}:
        raise StudyFolderError(
            f"{data.overview.folder.environment}: does not record split {split}, on which seed {seed} was trained; "
            f"`hw2tune summarize {data.name}` with the same --splits and --replicates records it"
        )
    return replace(images, **{name: found[name] for name in OF_SPLIT})


def _images(data: StudyData, data_dir: Path | None) -> DatasetRecord:
    """Return the facts about the study's images: as recorded, by the data set's name, else from the images."""
    study, record, noted = data.overview.study, data.dataset, data.images
    if record is not None:
        # An earlier version recorded no scale: do its moments fit pixels from 0 to 255, or float32 from 0 to 1?
        usual = record.dtype and all(0 <= mean <= 1 for mean in record.mean) and max(record.std) <= 0.5
        if record.scale or usual or not is_code(study.dataset):
            return record
    if (info := DATASETS.get(study.dataset)) is None:
        return record_of(load_for(study, data_dir, Listeners()))
    return DatasetRecord(
        name=info.name, label=noted.get("name", info.title), classes=list(info.classes),
        image_shape=list(info.image_shape), mean=list(info.mean), std=list(info.std),
        checksum=noted.get("checksum", ""), split_checksum=noted.get("split_checksum", ""), sizes={}, source="",
        dtype="uint8",
    )  # fmt: skip
