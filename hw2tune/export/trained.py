"""Which weights of a study a user means, and all that is known of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DATASETS, DatasetInfo
from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution.request import load_for
from hw2tune.records.dataset import DatasetRecord, record_of
from hw2tune.records.layout import TrialFolder
from hw2tune.records.remote.mirror import reading_checkpoints, reading_study
from hw2tune.records.replicates.records import Array, Replicate, ReplicatesFolder
from hw2tune.records.replicates.trainings import read_training
from hw2tune.records.trials.checkpoints import DIGEST, digest
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.claims import TUNED
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, listed
from hw2tune.train.task import Blueprint, task_of
from hw2tune.user_code.files import is_code

if TYPE_CHECKING:
    from torch import nn

BEST = "best"  # the variant that is the best trial


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Weights of one training, after `epoch`, by parameter name. Either a replicate or a trial of the study.

    `images` says what the network was trained on.
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
        """The study that it is of."""
        return self.data.overview.study

    @property
    def name(self) -> str:
        """`tuned, seed 1`, `trial 6 (baseline)`."""
        if self.replicate is not None:
            return f"{self.replicate.variant}, seed {self.seed}"
        assert self.trial is not None, "one of the two"
        return f"trial {self.trial.number}" + (f" ({self.trial.label})" if self.trial.label else "")

    @property
    def info(self) -> DatasetInfo:
        """What is known of the images, as training takes it."""
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
        """What the network is built from."""
        return task_of(self.study, self.hyperparameters, self.seed).blueprint(self.info)

    @property
    def unit(self) -> int:
        """The value that is 1 on the scale of mean and deviation: 255 of uint8, 1 of float32."""
        return 1 if self.images.dtype == "float32" else 255

    @property
    def takes_files(self) -> bool:
        """Whether image files have such pixels: one or three channels, and no values below 0."""
        return self.images.image_shape[2] in (1, 3) and self.images.black_and_white[0] == 0

    def pixels_of(self, levels: NDArray[np.uint8]) -> NDArray[Any]:
        """Levels from 0 to 255, of an image file or noise, on the scale that the network was trained on."""
        black, white = self.images.black_and_white
        return levels if self.unit == 255 else (black + levels / 255 * (white - black)).astype(np.float32)

    def network(self) -> nn.Module:
        """The network with these weights, on the CPU; it returns logits. Raises ModelError."""
        from hw2tune.export.graph import built

        return built(self.blueprint, self.weights)


def find_model(
    results: str | Path,
    name: str,
    *,
    variant: str | None = None,
    seed: int | None = None,
    trial: int | None = None,
    data_dir: Path | None = None,
) -> TrainedModel:
    """The weights of a variant on a seed (its first), of a trial, or of the race's winner, else of the best trial.

    A replicate's are those of the epoch that validation chose, a trial's those of its best epoch. Images are read, with
    `data_dir`, only if a study of an earlier version did not record theirs. Raises Hw2tuneError.
    """
    data = read_study_data(reading_study(results, name))
    if trial is not None and (variant is not None or seed is not None):
        raise StudyFolderError(f"trial {trial}: is one training; leave the variant and its seed out")
    images = _images(data, data_dir)
    if trial is None and (replicate := _replicate(data, variant, seed)) is not None:
        return _of_replicate(data, images, replicate)
    row = _trial(data, variant, trial)
    folder = reading_checkpoints(results, name, row.number) / name
    return _of_trial(data, images, row, TrialFolder(folder / "trials" / str(row.number)))


def _replicate(data: StudyData, variant: str | None, seed: int | None) -> Replicate | None:
    """The replicate that is meant; None where a trial is."""
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
                f"{data.name}: no trial has a value yet, so there are no weights; `hw2tune study {data.name}` goes on"
            )
    else:
        row = data.overview.labelled(variant or "")
        if row is None:
            there = [BEST, *dict.fromkeys([one.variant for one in data.replicates if one.chosen] + data.references)]
            raise StudyFolderError(f"{data.name}: no weights of a variant `{variant}`; there are {listed(there)}")
    if row.best_epoch is None:
        raise StudyFolderError(f"{data.name}: trial {row.number} has finished no epoch ({row.reason or row.state})")
    return row


def _of_replicate(data: StudyData, images: DatasetRecord, replicate: Replicate) -> TrainedModel:
    assert replicate.chosen is not None, "asked before"
    key, there = replicate.key.rpartition(" ")[2], ReplicatesFolder.of(data.overview.folder).trainings
    training = read_training(there, key)
    if training is None or not training.weights("chosen"):
        raise StudyFolderError(
            f"{there / key}: the weights of {replicate.variant} on seed {replicate.seed} are missing or damaged; "
            f"`hw2tune summarize {data.name}` trains them again"
        )
    return TrainedModel(
        data=data, images=images, hyperparameters=data.overview.study.hyperparameters(replicate.params),
        seed=replicate.seed, epoch=replicate.chosen.epoch, weights=training.weights("chosen"), replicate=replicate,
    )  # fmt: skip


def _of_trial(data: StudyData, images: DatasetRecord, row: TrialRow, folder: TrialFolder) -> TrainedModel:
    import torch

    assert row.best_epoch is not None, "asked before"
    content = torch.load(io.BytesIO(_checkpoint(data, folder, row)), map_location="cpu", weights_only=True)
    state = content["model"].items()
    weights = {name: (one.float() if one.is_floating_point() else one).numpy().copy() for name, one in state}
    return TrainedModel(
        data=data, images=images, hyperparameters=data.overview.study.hyperparameters(row.params),
        seed=data.overview.study.seed, epoch=row.best_epoch, weights=weights, trial=row,
    )  # fmt: skip


def _checkpoint(data: StudyData, folder: TrialFolder, row: TrialRow) -> bytes:
    """The checkpoint after the best epoch: `best.pt`, or while that is the last one, `last.pt`."""
    lines = read_epochs(data.overview.folder.trial(row.number))
    wanted = next((line.get(DIGEST) for line in lines if line["epoch"] == row.best_epoch), None)
    for path in (folder.best, folder.last):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if digest(content) == wanted:
            return content
    raise StudyFolderError(
        f"{folder.best}: the checkpoint of trial {row.number} after epoch {row.best_epoch} is missing or damaged; "
        "name another --trial, or another --variant"
    )


def _images(data: StudyData, data_dir: Path | None) -> DatasetRecord:
    """What the study's networks take: as it is recorded, by the data set's name, else by its images."""
    study, record = data.overview.study, data.dataset
    if record is not None and (record.scale or not is_code(study.dataset) or _usual_scale(record)):
        return record
    if (info := DATASETS.get(study.dataset)) is None:
        return record_of(load_for(study, data_dir, Listeners()))
    noted = data.images
    return DatasetRecord(
        name=info.name, label=noted.get("name", info.title), classes=list(info.classes),
        image_shape=list(info.image_shape), mean=list(info.mean), std=list(info.std),
        checksum=noted.get("checksum", ""), split_checksum=noted.get("split_checksum", ""), sizes={}, source="",
        dtype="uint8",
    )  # fmt: skip


def _usual_scale(record: DatasetRecord) -> bool:
    """Whether moments that an earlier version recorded can be of pixels from 0 to 255, or from 0 to 1 of float32."""
    return bool(record.dtype) and all(0 <= mean <= 1 for mean in record.mean) and max(record.std) <= 0.5
