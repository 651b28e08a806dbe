"""Everything that a report is drawn from, read from a study's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hw2tune.paths import safe_name
from hw2tune.records.arrays import Array
from hw2tune.records.atomic import read_record
from hw2tune.records.dataset import DatasetRecord, images_of, read_dataset, short
from hw2tune.records.environment import Family, last_family, runs, sound_runs
from hw2tune.records.finalists import SpecificationCurve, read_curves
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.raced import later_rows
from hw2tune.records.replicates import (
    Candidate,
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
from hw2tune.report.sound import sound_arrays, sound_counts, sound_gallery, sound_race
from hw2tune.study.arms import search_of_seed
from hw2tune.study.hyperparameters import Identity, identity
from hw2tune.study.objectives import PARAMETERS
from hw2tune.study.schema import TUNED, Side, Study
from hw2tune.study.splits import split_of_seed, split_seed, unit_of_seed
from hw2tune.text.numbers import listed

PREDICTIONS = ("labels", "predicted", "confidence")  # arrays of one value a test image
OF_METRICS = ("losses", "resampled")  # arrays that metrics other than the accuracy need


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
    _predictions: dict[tuple[str, int], dict[str, Array] | None] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The study's name, whatever its folder is called now: escape it where it is printed."""
        return self.overview.study.name

    @property
    def called(self) -> str:
        """Name in commands: of an arm's search with its study's, as `mnist-l2/no-l2`."""
        return self.overview.folder.name

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

    @property
    def winner(self) -> Candidate | None:
        """The candidate of the race that became `tuned`."""
        race = self.race
        return next((one for one in race.candidates if one.trial == race.winner), None) if race else None

    @cached_property
    def races(self) -> list[tuple[Overview, Race | None]]:
        """Each search with the race for its winner: the study itself, or those of its arms."""
        return races_of(self.overview) if self.overview.searches else [(self.overview, self.race)]

    @cached_property
    def raced(self) -> Overview:
        """The study as its races saw it: a search that went on since has only the trials that had ended before.

        Without a race it is the study as it is.
        """
        then = []
        for search, race in self.races:
            later = {row.number for row in later_rows(search, race)} if race else set()
            ended = [row for row in search.finished if row.number not in later]
            then.append(replace(search, rows=ended) if race else search)
        return replace(self.overview, searches=tuple(then)) if self.overview.searches else then[0]

    @property
    def went_on(self) -> bool:
        """Whether trials ended after the race that chose the winner, or after a search's."""
        return any(race and later_rows(search, race) for search, race in self.races)

    @property
    def curves(self) -> list[SpecificationCurve]:
        """The change of each claim that was made in each finalist, in the order of the claims."""
        order = [(claim.a.variant, claim.b.variant) for claim in self.overview.study.claims]
        curves = read_curves(ReplicatesFolder.of(self.overview.folder))
        found = {(one.variant, one.against): one for one in curves if _is_of(self.race, one)}
        return [found[pair] for pair in dict.fromkeys(order) if pair in found]

    @cached_property
    def family(self) -> Family:
        """The unit of which claims have a number, and the seeds of each that were asked for last."""
        unit = "search" if self.overview.study.searches > 1 else "split" if self.splits else "seed"
        return last_family(self.environment, unit)

    def unit_of(self, seed: int) -> int:
        """Return the search or the split of a seed; the seed itself if neither is repeated."""
        return unit_of_seed(self.overview.study, self.family[0], seed)

    @property
    def splits(self) -> list[int]:
        """The seeds of the splits that claims are about; empty if replicates are on the study's own."""
        study = self.overview.study
        numbers = sorted({split_of_seed(study, one.seed) for one in self.replicates})
        return [split_seed(study, number) for number in numbers] if any(numbers) else []

    def side(self, variant: str) -> Side:
        """Return the configuration of a variant: a reference, the winner, or one of them with changed values."""
        return self.overview.study.variants[variant]

    def of(self, variant: str) -> list[Replicate]:
        """The replicates of one variant, by seed."""
        return [replicate for replicate in self.replicates if replicate.variant == variant]

    def arrays(self, variant: str, seed: int) -> dict[str, Array] | None:
        """Predictions, weights and feature maps of one replicate; read on demand, they are large."""
        arrays = read_arrays(ReplicatesFolder.of(self.overview.folder), variant, seed)
        return sound_arrays(arrays, self.dataset) if arrays else None

    def predictions(self, variant: str, seed: int) -> dict[str, Array] | None:
        """The predictions of one replicate, read once and remembered; None if any of their arrays is missing."""
        if (variant, seed) not in self._predictions:
            arrays = self.arrays(variant, seed) or {}
            known = {name: arrays[name] for name in (*PREDICTIONS, *OF_METRICS) if name in arrays}
            self._predictions[variant, seed] = known if known.keys() >= set(PREDICTIONS) else None
        return self._predictions[variant, seed]


def races_of(overview: Overview) -> list[tuple[Overview, Race | None]]:
    """Return each search with the race that is on disk for its winner: the study itself, or those of its arms."""
    kept = ((one, read_race(ReplicatesFolder.of(one.folder))) for one in overview.searches or (overview,))
    return [(search, race and sound_race(race)) for search, race in kept]


def _is_of(race: Race | None, curve: SpecificationCurve) -> bool:
    """Return whether a curve is of the finalists of the race, or there is none."""
    return race is None or curve.trials == sorted(one.trial for one in race.candidates)


def read_study_data(folder: StudyFolder, known: Overview | None = None) -> StudyData:
    """Read a study's folder; nothing is trained and nothing of torch or Ray is needed."""
    place = ReplicatesFolder.of(folder)
    dataset, gallery, counts, race = (
        read_dataset(folder),
        read_gallery(place),
        read_pixel_counts(place),
        read_race(place),
    )
    overview = read_overview(folder, known)
    study, order = overview.study, list(overview.study.variants)
    replicates = read_replicates(place)
    blind = [one for one in replicates if one.chosen_blindly(study.objective)]
    mixed = _mixed(study, replicates)
    usable = [one for one in replicates if one not in blind and one.variant not in mixed]
    agreeing = [one for one in usable if one.variant in order and study.variants[one.variant].agrees(one.params)]
    data = StudyData(
        overview=overview,
        replicates=sorted(agreeing, key=lambda one: (order.index(one.variant), one.seed)),
        dataset=dataset,
        gallery=gallery and sound_gallery(gallery),
        pixel_counts=None if counts is None else sound_counts(counts),
        race=race and sound_race(race),
        environment=sound_runs(runs(folder)),
    )
    notes = [
        *_damaged(data, place),
        *_omitted(data, blind, usable),
        *_changed_images(data),
        *_curves_apart(data, place),
    ]
    if mixed:
        notes.append(
            f"Replicates of {listed(mixed)} are of several winners, and which ones count is not known: they are "
            f"omitted; `hw2tune summarize {data.called}` tests those that are missing."
        )
    winner = data.winner  # a trial's parameters, without those of [training]; a replicate's are complete
    if winner and any(identity(one.params) != identity(study.complete(winner.params)) for one in data.of(TUNED)):
        notes.append(
            f"The race was won by trial #{winner.trial}, but the replicates of {TUNED} are of another configuration, "
            f"as a run was interrupted in between; the race is omitted, and `hw2tune summarize {data.called}` goes on."
        )
        data = replace(data, race=None)
    return replace(data, damaged=notes)


def _mixed(study: Study, replicates: Sequence[Replicate]) -> list[str]:
    """Return the variants with several configurations of one search, as those of an earlier winner are among them."""
    found: dict[tuple[str, int], set[Identity]] = {}
    for one in replicates:
        if (side := study.variants.get(one.variant)) and side.agrees(one.params) and side.of not in study.references:
            place = one.variant, search_of_seed(study, one.seed)
            found.setdefault(place, set()).add(identity(one.params))
    return [*dict.fromkeys(variant for (variant, _), configurations in found.items() if len(configurations) > 1)]


def _omitted(data: StudyData, blind: list[Replicate], usable: list[Replicate]) -> Iterator[str]:
    """The replicates of earlier versions that were tested at a wrong epoch, or whose name meant several variants."""
    study = data.overview.study
    for one in blind:
        assert one.chosen is not None, "asked before"
        yield (
            f"{one.variant}, seed {one.seed}, was tested at epoch {one.chosen.epoch}, where {study.objective} is not "
            f"finite (an error of version 0.1), and is omitted; `hw2tune summarize {study.name}` trains it again."
        )
    for name in dict.fromkeys(one.variant for one in usable if one not in data.replicates):
        called = [variant for variant, side in study.variants.items() if side.earlier_variant == name]
        if called:
            yield (
                f"Replicates of `{name}` are omitted: an earlier version called {listed(called)} so; "
                f"`hw2tune summarize {study.name}` tests each by its own name, and trains only what is missing."
            )


def _curves_apart(data: StudyData, place: ReplicatesFolder) -> Iterator[str]:
    """The curves of an earlier race, whose finalists are not those of the report."""
    apart = next((one for one in read_curves(place) if not _is_of(data.race, one)), None)
    if data.race and apart:
        now = sorted(one.trial for one in data.race.candidates)
        before, after = (listed([f"#{number}" for number in trials]) for trials in (apart.trials, now))
        yield (
            f"`replicates/finalists.json` is of the finalists {before} of an earlier race, and those of the race are "
            f"{after}: it is omitted; `hw2tune summarize {data.called} --each-finalist {len(apart.seeds)}` makes it "
            "again."
        )


def _changed_images(data: StudyData) -> Iterator[str]:
    """The images that an earlier version scaled each by its own largest pixel, or that changed between two runs."""
    study = data.overview.folder.study_name
    for note in data.dataset.notes if data.dataset and data.dataset.white is None else []:
        if note.endswith(("of 16 bits, scaled to 8", "of floating-point numbers, scaled to 8 bits")):
            yield (
                f"{note}: version 0.1 scaled each by its own largest pixel, so dark and bright images may have "
                f"changed places; `hw2tune study {study} --fresh` trains on one scale for all."
            )
    noted = [run.get("data", {}).get("checksum") for run in data.environment]
    checksums = dict.fromkeys(short(one) for one in noted if one and isinstance(one, str))
    if len(checksums) > 1:
        yield (
            f"The images changed between two runs of this study (checksums {listed([*checksums])}), which version 0.1 "
            f"did not notice: its results mix both; `hw2tune study {study} --fresh` starts over."
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
    usable = {place.replicate(one.variant, one.seed) for one in every_replicate(place)}
    known = [safe_name(variant) for variant in data.variants]
    paths += [p for p in place.records() if p.parent not in usable and p.parent.parent.name in known]
    root = data.overview.folder.root
    notes = [f"`{path.relative_to(root).as_posix()}` is damaged, and omitted." for path in paths]
    if os.path.lexists(place.current) and read_record(place.current, Current) is None:
        notes.append(
            "`replicates/current.json` is damaged: which replicates count is not known, and all that are there are "
            f"shown; `hw2tune summarize {data.called}` writes it anew."
        )
    elif data.race is None and read_race(place) and not os.path.lexists(place.race):
        notes.append("The race in `replicates/current.json` is damaged, and omitted.")
    return notes
