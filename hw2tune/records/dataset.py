"""The images of a study: `dataset.json`, written when it begins, compared with at each run, and enough to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hw2tune.data.dataset import Dataset, checksum
from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import read_record, write_atomically
from hw2tune.records.environment import runs
from hw2tune.records.layout import StudyFolder
from hw2tune.text.plain import strict_json
from hw2tune.user_code.files import is_code

NOT_RECORDED = (None, "", checksum(np.arange(0)))  # the last: earlier versions had no checksum of a validation given


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """Facts about the images of a study. Sizes are numbers of images."""

    name: str
    label: str  # how results on these very pixels are called, e.g. "CIFAR-10 (JPEG q75)"
    classes: list[str]
    image_shape: list[int]  # height, width, channels
    mean: list[float]  # per channel: of uint8 on the scale [0, 1], of float32 as it is
    std: list[float]
    checksum: str
    split_checksum: str
    sizes: dict[str, int]  # train, validation, test
    source: str
    caveat: str = ""  # what must stand beside every figure
    notes: list[str] = field(default_factory=list)  # what was done to the images
    white: dict[str, float] | None = None  # as in Dataset; earlier versions scaled each image file by itself
    dtype: str = ""  # of the pixels, uint8 or float32; earlier versions did not say
    scale: tuple[float, float] | None = None  # as in Dataset; earlier versions took 0 to 255, or 0 to 1 of float32

    @property
    def black_and_white(self) -> tuple[float, float]:
        """The value of a black and of a white pixel."""
        return self.scale or (0.0, 1.0 if self.dtype == "float32" else 255.0)


OF_SPLIT = ("split_checksum", "sizes", "mean", "std")  # that environment.json has of each further split


def record_of(data: Dataset) -> DatasetRecord:
    """The facts about a data set in memory."""
    return DatasetRecord(
        name=data.info.name,
        label=data.label,
        classes=list(data.info.classes),
        image_shape=list(data.info.image_shape),
        mean=list(data.info.mean),
        std=list(data.info.std),
        checksum=data.checksum,
        split_checksum=data.split_checksum,
        sizes={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        source=data.source,
        caveat=data.caveat,
        notes=list(data.notes),
        white=dict(data.white),
        dtype=data.train.images.dtype.name,
        scale=data.scale,
    )


def read_dataset(folder: StudyFolder) -> DatasetRecord | None:
    """The record of a study's images; None if there is none. Earlier versions wrote it with the replicates."""
    return next((one for path in folder.datasets if (one := read_record(path, DatasetRecord))), None)


def keep_images(folder: StudyFolder, data: Dataset) -> None:
    """Record the images of a run, in a locked folder. Raises StudyFolderError for other images than before."""
    refuse_other_images(folder, data)
    write_atomically(folder.datasets[0], strict_json(asdict(record_of(data)), indent=1) + "\n", durable=True)


def images_of(record: DatasetRecord | None, environment: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`label`, `checksum`, `split_checksum` and `sizes` of a study's images, as far as they are recorded."""
    if record is not None:
        return asdict(record)
    noted = [run["data"] for run in environment if isinstance(run.get("data"), dict)][-1:]
    return {"label": noted[0].get("name", "") if noted else "", "sizes": {}, **dict(*noted)}


def refuse_other_images(folder: StudyFolder, data: Dataset) -> None:
    """Raise StudyFolderError if earlier trials had other images, classes or another split, naming what differs."""
    if not folder.has_run:  # nothing has run under this name
        return
    then, now = images_of(read_dataset(folder), runs(folder)), asdict(record_of(data))
    if not any(_differs(then.get(key), now[key]) for key in ("checksum", "split_checksum", "classes")):
        return
    if data.white and then.get("white") is None:
        raise StudyFolderError(
            f"{folder.root}: its trials had images of more than 8 bits, each scaled by its own largest pixel (version "
            "0.1), and they have one scale now; run `hw2tune study` with another --name or with --fresh"
        )
    random = f" (`{data.source}` must return the same images each time: seed what it draws)"
    raise StudyFolderError(
        f"{folder.root}: its trials had other images ({'; '.join(_differences(then, now))}); put the images "
        f"back{random if is_code(data.source) else ''}, or run `hw2tune study` with another --name or with --fresh"
    )


def _differs(then: object, now: object) -> bool:
    return then not in NOT_RECORDED and then != now


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Counts and names that differ; checksums if these do not."""
    found = [f"{then['label']} -> {now['label']}"] if then["label"] != now["label"] else []
    found += [
        f"{split}: {then['sizes'][split]:,} -> {size:,} images"
        for split, size in now["sizes"].items()
        if then["sizes"].get(split, size) != size
    ]
    if _differs(then.get("classes"), now["classes"]):
        found.append(f"classes: {', '.join(sorted({*then['classes']} ^ {*now['classes']})) or 'their order'}")
    return found or [
        f"checksum of {what}: {short(then[key])} -> {short(now[key])}"
        for key, what in (("checksum", "pixels or labels"), ("split_checksum", "validation images"))
        if _differs(then.get(key), now[key])
    ]


def short(checksum: str) -> str:
    """The first digits of a checksum, enough to tell two apart."""
    return checksum.removeprefix("sha256:")[:12]
