"""`replicates/finalists.json`: the change of a claim made in each finalist of the race, on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hw2tune.records.atomic import read_record
from hw2tune.records.replicates import ReplicatesFolder, write_json
from hw2tune.study.hyperparameters import Value


@dataclass(frozen=True, kw_only=True)
class Specification:
    """One finalist with the values of either side, on each of the seeds: best values of the objective."""

    trial: int
    params: dict[str, Value]  # as the search found it
    values: list[float | None]  # with the values of the claim's side a; None: diverged
    against: list[float | None]  # with those of side b


@dataclass(frozen=True, kw_only=True)
class SpecificationCurve:
    """The change of one claim in each finalist. `unchanged` are the trials in which it changes nothing."""

    variant: str
    against: str
    changes: dict[str, Value]  # hyperparameters of side a that differ
    instead: dict[str, Value]  # and their values in side b; empty for the finalist's own
    objective: str
    direction: str
    seeds: list[int]
    specifications: list[Specification]
    unchanged: list[int]

    @property
    def trials(self) -> list[int]:
        """The finalists, by number."""
        return sorted([*(one.trial for one in self.specifications), *self.unchanged])


@dataclass(frozen=True)
class _Curves:
    """The content of the file."""

    curves: list[SpecificationCurve]


def curves_file(folder: ReplicatesFolder) -> Path:
    """The path of the record."""
    return folder.root / "finalists.json"


def write_curves(folder: ReplicatesFolder, curves: Sequence[SpecificationCurve]) -> None:
    """Write the curves, all or none."""
    write_json(curves_file(folder), asdict(_Curves(list(curves))))


def read_curves(folder: ReplicatesFolder) -> list[SpecificationCurve]:
    """Return the curves; none if the file is missing or damaged."""
    record = read_record(curves_file(folder), _Curves)
    return [one for one in record.curves if _sound(one)] if record else []


def _sound(curve: SpecificationCurve) -> bool:
    """Return whether each finalist has a value, or None, for each seed."""
    lengths = {len(values) for one in curve.specifications for values in (one.values, one.against)}
    return lengths <= {len(curve.seeds)}
