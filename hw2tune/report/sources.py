"""Everything that a report is drawn from, read from a study's folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hw2tune.records.environment import runs
from hw2tune.records.folder import StudyFolder
from hw2tune.records.overview import Overview, read_overview
from hw2tune.records.replicates import (
    Array,
    DatasetRecord,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
    read_arrays,
    read_dataset,
    read_gallery,
    read_pixel_counts,
    read_race,
    read_replicates,
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """A study as the report sees it. What is None or empty is missing on disk, and the report says so."""

    overview: Overview
    replicates: list[Replicate]
    dataset: DatasetRecord | None
    gallery: Gallery | None
    pixel_counts: Array | None  # (C, 256)
    race: Race | None
    environment: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """The study's name, whatever its folder is called now: escape it where it is printed."""
        return self.overview.study.name

    def of(self, variant: str) -> list[Replicate]:
        """The replicates of one variant, by seed."""
        return [replicate for replicate in self.replicates if replicate.variant == variant]

    def arrays(self, variant: str, seed: int) -> dict[str, Array] | None:
        """Predictions, weights and feature maps of one replicate; read on demand, they are large."""
        return read_arrays(ReplicatesFolder.of(self.overview.folder), variant, seed)


def read_sources(folder: StudyFolder) -> Sources:
    """Reads a study's folder; nothing is trained and nothing of torch or Ray is needed."""
    replicates = ReplicatesFolder.of(folder)
    return Sources(
        overview=read_overview(folder),
        replicates=read_replicates(replicates),
        dataset=read_dataset(replicates),
        gallery=read_gallery(replicates),
        pixel_counts=read_pixel_counts(replicates),
        race=read_race(replicates),
        environment=runs(folder),
    )
