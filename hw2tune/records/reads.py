"""Ledger of test reads: the distinct configurations ever evaluated on the same test images in a results folder.

The records on disk tell: replicates, current or not, and the trainings of earlier winners, whose replicates were
replaced; also those of studies that --fresh moved aside, and of reproductions. What `clean` or a user removed, and what
was read elsewhere, is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hw2tune.paths import cache_dir
from hw2tune.records.atomic import read_record
from hw2tune.records.dataset import images_of, read_dataset
from hw2tune.records.environment import runs
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import MIRRORS, StudyFolder
from hw2tune.records.replicates import ReplicatesFolder
from hw2tune.study.hyperparameters import Identity, Value, identity
from hw2tune.text.numbers import counted, listed

MANY = 20  # configurations from which on a reader is warned
WARNING = "a difference found after so many reads may be the luck of these images, and no interval covers that"
WAY_OUT = "confirm it on images that were never read"
PLACES = ("*", "*/arms/*", "set-aside/*")  # of folders with replicates, below the results
ON_VALIDATION = ("race: ", "finalist: ")  # labels of trainings that no test image is read with


@dataclass(frozen=True, kw_only=True)
class TestReads:
    """Configurations that were evaluated on one set of test images, and the studies that did so."""

    __test__ = False  # not a test of pytest's

    label: str  # of the images
    checksum: str
    images: int | None  # in the test split
    configurations: int
    studies: tuple[str, ...]
    copied: bool = False  # from a store, of which only some studies may have been copied to this machine

    @property
    def many(self) -> bool:
        """Return whether the best of so many is partly the luck of these images."""
        return self.configurations >= MANY

    @property
    def text(self) -> str:
        """The number, the images and the studies."""
        number = counted(self.configurations, "configuration")
        images = f"{self.images:,} test images of {self.label}" if self.images else f"test images of {self.label}"
        where = f" by the studies {listed(self.studies)}" if len(self.studies) > 1 else ""
        place = "in the studies copied here from the store" if self.copied else "in this folder"
        return f"{number} {'was' if self.configurations == 1 else 'were'} read on these {images} {place}{where}"

    @property
    def sentence(self) -> str:
        """The same as a sentence, and from MANY on its meaning."""
        return f"{self.text}; {WARNING}: {WAY_OUT}." if self.many else f"{self.text}."


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The part of a replicate's or a training's record that tells what was read."""

    params: dict[str, Value] = field(default_factory=dict)
    epochs: list[Any]
    label: str = ""  # of a training, as the next
    diverged: str = ""
    model: str = ""  # of a replicate, as all below
    loss: str = ""
    chosen: Evaluation | None = None
    last: Evaluation | None = None


def test_reads(results: Path) -> list[TestReads]:
    """Return the ledger of a results folder, most configurations first. Needs neither torch nor Ray."""
    configurations: dict[str, set[Hashable]] = {}
    facts: dict[str, dict[str, Any]] = {}
    studies: dict[str, list[str]] = {}
    copied = results.absolute().is_relative_to(cache_dir() / MIRRORS)
    for root in (path for place in PLACES for path in sorted(results.glob(f"{place}/replicates"))):
        folder = StudyFolder(root.parent)
        images, found = images_of(read_dataset(folder), runs(folder)), _replicates(folder)
        checksum = images.get("checksum")
        if not found or not isinstance(checksum, str):
            continue
        code = _code(folder)
        read = {(code, one.model, one.loss, len(one.epochs), identity(one.params)) for one in found}
        read |= {(code, found[0].model, found[0].loss, *rest) for rest in _trainings(folder)}
        total = next((one.total for each in found for one in (each.last, each.chosen) if one), None)
        fact = {"label": images["label"], "images": images["sizes"].get("test", total), "copied": copied}
        facts.setdefault(checksum, fact)
        configurations.setdefault(checksum, set()).update(read)
        studies.setdefault(checksum, []).append(folder.name)
    ledger = [
        TestReads(checksum=checksum, configurations=len(read), studies=tuple(studies[checksum]), **facts[checksum])
        for checksum, read in configurations.items()
    ]
    return sorted(ledger, key=lambda one: -one.configurations)


def _replicates(folder: StudyFolder) -> list[_Read]:
    """The replicates with an evaluation, current or not."""
    read = [read_record(path, _Read) for path in ReplicatesFolder.of(folder).records()]
    return [one for one in read if one is not None and (one.chosen or one.last)]


def _trainings(folder: StudyFolder) -> Iterator[tuple[int, Identity]]:
    """Epochs and configuration of each training of a claim's side. Earlier versions noted no label, and are omitted."""
    for path in sorted(ReplicatesFolder.of(folder).trainings.glob("*/training.json")):
        training = read_record(path, _Read)
        if training and training.label and not training.diverged and not training.label.startswith(ON_VALIDATION):
            yield len(training.epochs), identity(training.params)


def _code(folder: StudyFolder) -> tuple[str, ...]:
    """Return digests of the user's own files of a study: other code is another configuration."""
    files = sorted(path for path in folder.code.rglob("*.py") if path.is_file())
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
