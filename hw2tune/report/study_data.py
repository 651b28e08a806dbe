"""Everything that a report is drawn from, read from a study's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hw2tune.paths import safe_name
from hw2tune.records.atomic import read_record
from hw2tune.records.dataset import DatasetRecord, images_of, read_dataset, short
from hw2tune.records.environment import runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.replicates import (
    Array,
    Current,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
    every_replicate,
    read_arrays,
    read_gallery,
    read_pixel_counts,
    read_race,
    read_replicates,
)
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.report.sound import sound_arrays, sound_counts, sound_gallery, sound_race, sound_replicate, sound_run
from hw2tune.study.hyperparameters import identity
from hw2tune.study.objectives import PARAMETERS
from hw2tune.study.schema import TUNED, Side
from hw2tune.text.numbers import listed


@dataclass(frozen=True, kw_only=True)
class StudyData:
    """A study as the report sees it. What is None or empty is missing on disk, and the report says so."""

    overview: Overview
    replicates: list[Replicate]
    dataset: DatasetRecord | None
    gallery: Gallery | None
    pixel_counts: Array | None  # (C, 256)
    race: Race | None
    environment: list[dict[str, Any]]
    damaged: list[str] = field(default_factory=list)  # what is there and cannot be used, a sentence each

    @property
    def name(self) -> str:
        """The study's name, whatever its folder is called now: escape it where it is printed."""
        return self.overview.study.name

    @property
    def label(self) -> str:
        """The label of the images, or the data set's name before anything was trained on it."""
        return self.dataset.label if self.dataset else self.overview.study.dataset

    @property
    def images(self) -> dict[str, Any]:
        """`label`, `checksum`, `split_checksum` and `sizes` of the images, as far as they are recorded."""
        images = images_of(self.dataset, self.environment)
        return images | {"label": images["label"] or self.overview.study.dataset}

    @property
    def variants(self) -> list[str]:
        """The configurations that claims name: references, the winner, then what is derived of them."""
        return list(self.overview.study.variants)

    @property
    def references(self) -> list[str]:
        """The references, by the study file's order."""
        return list(self.overview.study.references)

    @property
    def parameters(self) -> dict[int, int]:
        """The size of each trial's network, where its epochs say so, as they do for a second objective."""
        records = {row.number: read_epochs(self.overview.folder.trial(row.number)) for row in self.overview.rows}
        return {
            number: epochs[-1][PARAMETERS] for number, epochs in records.items() if epochs and PARAMETERS in epochs[-1]
        }

    def side(self, variant: str) -> Side:
        """What a variant is: a reference, the winner, or one of them with changed values."""
        return self.overview.study.variants[variant]

    def of(self, variant: str) -> list[Replicate]:
        """The replicates of one variant, by seed."""
        return [replicate for replicate in self.replicates if replicate.variant == variant]

    def arrays(self, variant: str, seed: int) -> dict[str, Array] | None:
        """Predictions, weights and feature maps of one replicate; read on demand, they are large."""
        arrays = read_arrays(ReplicatesFolder.of(self.overview.folder), variant, seed)
        return sound_arrays(arrays, self.dataset) if arrays else None


def read_study_data(folder: StudyFolder, known: Overview | None = None) -> StudyData:
    """Reads a study's folder; nothing is trained and nothing of torch or Ray is needed."""
    place = ReplicatesFolder.of(folder)
    dataset, gallery, counts, race = (
        read_dataset(folder),
        read_gallery(place),
        read_pixel_counts(place),
        read_race(place),
    )
    overview = read_overview(folder, known)
    variants = overview.study.variants
    order = list(variants)
    replicates = [one for replicate in read_replicates(place) if (one := sound_replicate(replicate))]
    blind = [one for one in replicates if one.chosen_blindly(overview.study.objective)]
    usable = [one for one in replicates if one not in blind]
    data = StudyData(
        overview=overview,
        replicates=sorted(
            (one for one in usable if one.variant in order and variants[one.variant].agrees(one.params)),
            key=lambda one: (order.index(one.variant), one.seed),
        ),
        dataset=dataset,
        gallery=gallery and sound_gallery(gallery),
        pixel_counts=None if counts is None else sound_counts(counts),
        race=race and sound_race(race),
        environment=[entry for run in runs(folder) if (entry := sound_run(run))],
    )
    notes = [
        *_damaged(data, place),
        *(_blind(overview, one) for one in blind),
        *_misnamed(data, usable),
        *_unevenly_scaled(data),
        *_of_mixed_images(data),
    ]
    data = replace(data, damaged=notes)
    race, tuned = data.race, data.of(TUNED)
    winner = next((one.params for one in race.candidates if one.trial == race.winner), {}) if race else {}
    complete = overview.study.complete
    if race is None or all(identity(complete(one.params)) == identity(complete(winner)) for one in tuned):
        return data
    note = (
        f"The race was won by trial #{race.winner}, but the replicates of {TUNED} are of another configuration, as a "
        f"run was interrupted in between; the race is omitted, and `hw2tune summarize {data.name}` goes on."
    )
    return replace(data, race=None, damaged=[*data.damaged, note])


def _of_mixed_images(data: StudyData) -> list[str]:
    noted = [run.get("data", {}).get("checksum") for run in data.environment]
    checksums = dict.fromkeys(short(one) for one in noted if one and isinstance(one, str))
    if len(checksums) < 2:
        return []
    return [
        f"The images changed between two runs of this study (checksums {listed([*checksums])}), which version 0.1 did "
        f"not notice: its results mix both; `hw2tune study {data.name} --fresh` starts over."
    ]


def _blind(overview: Overview, replicate: Replicate) -> str:
    assert replicate.chosen is not None, "asked before"
    return (
        f"{replicate.variant}, seed {replicate.seed}, was tested at epoch {replicate.chosen.epoch}, where "
        f"{overview.study.objective} is not finite (an error of version 0.1), and is omitted; "
        f"`hw2tune summarize {overview.study.name}` trains it again."
    )


def _misnamed(data: StudyData, replicates: list[Replicate]) -> Iterator[str]:
    """The replicates whose name an earlier version gave to several variants, or cut."""
    omitted = dict.fromkeys(one.variant for one in replicates if one not in data.replicates)
    for name in omitted:
        called = [variant for variant, side in data.overview.study.variants.items() if side.earlier_variant == name]
        if called:
            yield (
                f"Replicates of `{name}` are omitted: an earlier version called {listed(called)} so; "
                f"`hw2tune summarize {data.name}` tests each by its own name, and trains only what is missing."
            )


def _unevenly_scaled(data: StudyData) -> Iterator[str]:
    """The images that an earlier version scaled each by its own largest pixel."""
    if data.dataset is None or data.dataset.white is not None:
        return
    for note in data.dataset.notes:
        if note.endswith(("of 16 bits, scaled to 8", "of floating-point numbers, scaled to 8 bits")):
            yield (
                f"{note}: version 0.1 scaled each by its own largest pixel, so dark and bright images may have "
                f"changed places; `hw2tune study {data.name} --fresh` trains on one scale for all."
            )


def _damaged(data: StudyData, place: ReplicatesFolder) -> list[str]:
    """The files that are there and gave nothing; one that is not there is named where it is missed."""
    gave = {
        **dict.fromkeys(data.overview.folder.datasets, data.dataset),
        place.gallery: data.gallery,
        place.pixels: data.pixel_counts,
        place.race: data.race,  # where it has a file of its own
        data.overview.folder.environment: data.environment or None,
    }
    paths = [path for path, record in gave.items() if record is None and os.path.lexists(path)]
    usable = {place.replicate(one.variant, one.seed) for one in every_replicate(place) if sound_replicate(one)}
    known = [safe_name(variant) for variant in data.variants]
    paths += [p for p in place.records() if p.parent not in usable and p.parent.parent.name in known]
    root = data.overview.folder.root
    notes = [f"`{path.relative_to(root).as_posix()}` is damaged, and omitted." for path in paths]
    if os.path.lexists(place.current) and read_record(place.current, Current) is None:
        notes.append(
            "`replicates/current.json` is damaged: which replicates count is not known, and all that are there are "
            f"shown; `hw2tune summarize {data.name}` writes it anew."
        )
    elif data.race is None and read_race(place) and not os.path.lexists(place.race):
        notes.append("The race in `replicates/current.json` is damaged, and omitted.")
    return notes
