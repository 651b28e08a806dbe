"""Facts about the images of a study: their splits, source, preparation and classes."""

from __future__ import annotations

from dataclasses import dataclass

from hw2tune.records.dataset import short
from hw2tune.report.configurations import further_splits
from hw2tune.report.results import StudyResults
from hw2tune.study.objectives import decimals
from hw2tune.text.numbers import listed

STUDY, DATASET = "study.toml", "dataset.json"


@dataclass(frozen=True)
class Fact:
    """A fact in one or two sentences, empty if the records do not tell; `source` are files below the study's folder."""

    text: str = ""
    source: tuple[str, ...] = ()


def splits(results: StudyResults) -> Fact:
    """Sizes and drawing of the three splits."""
    data, study = results.data, results.data.overview.study
    if not (sizes := data.images["sizes"]):
        return Fact()
    shown = listed([f"{size:,} {split}" for split, size in sizes.items()])
    seeds = f"split seed {study.split_seed}{further_splits(results.data)}"
    drawn = f"validation images are drawn by class ({seeds}) unless the data set has its own"
    return Fact(f"{shown} images; {drawn}.", (DATASET, STUDY))


def data(results: StudyResults) -> Fact:
    """Label and the first digits of the checksums of the images."""
    images = results.data.images
    sums = [
        f"{name} `{short(images[key])}`"
        for name, key in (("images", "checksum"), ("split", "split_checksum"))
        if images.get(key)
    ]
    return Fact(f"{images['label']}; checksums: {listed(sums)} (first digits).", (DATASET,)) if sums else Fact()


def source(results: StudyResults) -> Fact:
    """The place from which the images were read."""
    record = results.data.dataset
    return Fact(f"Read from {record.source}.", (DATASET,)) if record else Fact()


def outcome(results: StudyResults) -> Fact:
    """The classes."""
    record = results.data.dataset
    if record is None:
        return Fact()
    gallery = results.data.replicates and "; counts of test images by class are in the report's figures of classes"
    return Fact(f"The class of an image, one of {len(record.classes)}{gallery or ''}.", (DATASET,))


def preparation(results: StudyResults) -> Fact:
    """Notes of the reader on files that it passed over or changed."""
    record = results.data.dataset
    if record is None:
        return Fact()
    return Fact(f"{'; '.join(record.notes) or 'No note on excluded images'}.", (DATASET,))


def corrupt(results: StudyResults) -> Fact:
    """Damaged image files."""
    return Fact("An image file that cannot be decoded ends a run before anything is trained; none was.", (DATASET,))


def preprocessing(results: StudyResults) -> Fact:
    """Size, normalisation and augmentation."""
    record, study = results.data.dataset, results.data.overview.study
    if record is None:
        return Fact()
    size = f"resized to {study.resize[0]} x {study.resize[1]}, " if study.resize else ""
    numbers = [", ".join(map(decimals, values)) for values in (record.mean, record.std)]
    text = f"Pixels are {size}normalised by mean {numbers[0]} and standard deviation {numbers[1]} per channel"
    return Fact(f"{text}; augmentation is a hyperparameter.", (DATASET, STUDY))


def duplicates(results: StudyResults) -> Fact:
    """Equal images in two splits."""
    record, study = results.data.dataset, results.data.overview.study
    if study.allow_overlap:
        return Fact(
            f"Allowed by the study file: {(record and record.caveat) or study.allow_overlap}.", (STUDY, DATASET)
        )
    return Fact("No image is in two splits: hw2tune compares all of them and refuses equal ones.", (DATASET,))
