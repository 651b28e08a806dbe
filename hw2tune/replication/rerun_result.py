"""The result of a trial that was trained again: epoch by epoch next to the record, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import DATA_ERROR, DIVERGED, FAILED
from hw2tune.study.objectives import best_epoch
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted, difference, listed, measured

ENDED_BY_ITSELF = (DIVERGED, FAILED, DATA_ERROR)  # states that come again; out of memory and lost speak of a machine


@dataclass(frozen=True, kw_only=True)
class RerunEpoch:
    """An epoch by quantity, recorded and again; empty if one of them did not get there.

    A quantity that is not a finite number is absent.
    """

    epoch: int
    recorded: dict[str, float]
    again: dict[str, float]

    @property
    def same(self) -> bool:
        """Return whether every quantity is equal to the last digit."""
        return bool(self.again) and self.recorded == self.again

    @property
    def differences(self) -> dict[str, float]:
        """The differences by quantity, again - recorded."""
        return {name: self.again[name] - value for name, value in self.recorded.items() if name in self.again}


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """A trial, and the same training again, or with another `seed` the same configuration.

    `ended` is what ended the training before it had its epochs, empty where nothing did. `circumstances` are what
    differs between then and now, a phrase each.
    """

    study: Study
    trial: TrialRow
    seed: int
    epochs: list[RerunEpoch]
    ended: str
    circumstances: list[str]

    @property
    def other_seed(self) -> bool:
        """Return whether the training was on another seed and not meant to come out the same."""
        return self.seed != self.study.seed

    @property
    def expected(self) -> str:
        """The expected reason for the end; empty if the trial was stopped gracefully or its machine failed."""
        return self.trial.reason if self.trial.state in ENDED_BY_ITSELF else ""

    @property
    def same(self) -> bool:
        """Return whether every recorded epoch came out equal to the last digit, and the training ended as before."""
        return not self.other_seed and all(one.same for one in self.epochs) and self.ended == self.expected

    @property
    def best(self) -> float | None:
        """The best value of the objective over this training's epochs."""
        objective = self.study.objective
        values = {one.epoch: one.again[objective] for one in self.epochs if objective in one.again}
        best = best_epoch(values, self.study.direction)
        return None if best is None else values[best]

    @property
    def sentence(self) -> str:
        """The result in words."""
        if self.other_seed:
            return self._on_another_seed()
        if not self.same:
            return f"trial {self.trial.number} did not come out the same: {'; '.join(self._what_differs())}"
        epochs = f": {counted(len(self.epochs), 'epoch')}, every loss and accuracy equal to the last digit"
        end = f"{' and' if self.epochs else ':'} {self.ended} again" if self.ended else ""
        return f"trial {self.trial.number} came out the same{epochs if self.epochs else ''}{end}"

    def _what_differs(self) -> Iterator[str]:
        off = [one for one in self.epochs if one.recorded and one.again and not one.same]
        largest: dict[str, float] = {}
        for one in off:
            for name, value in one.differences.items():
                largest[name] = max(abs(value), largest.get(name, 0.0))
        if off:
            sizes = [f"{_size(value, name)} of {name.replace('_', ' ')}" for name, value in largest.items() if value]
            yield f"it differs from epoch {off[0].epoch} on" + (f", by at most {listed(sizes)}" if sizes else "")
        if gone := [str(one.epoch) for one in self.epochs if not one.again]:
            yield f"epoch {listed(gone)} did not come again"
        if self.ended != self.expected:
            yield f"it ended with `{self.ended or 'nothing amiss'}`, not with `{self.expected or 'nothing amiss'}`"

    def _on_another_seed(self) -> str:
        row, objective, where = self.trial, self.study.objective, f"trial {self.trial.number} on seed {self.seed}"
        if self.ended or self.best is None:
            return f"{where}: {self.ended or 'no epoch was trained'}"
        value = f"{where}: best {self.study.objective_spec.label} {measured(self.best, objective)}"
        if row.value is None:
            return f"{value}; on the study's seed {self.study.seed} {row.reason or row.state}"
        return (
            f"{value}, against {measured(row.value, objective)} on the study's seed {self.study.seed}: "
            f"{difference(self.best - row.value, objective)} (what a search picks is partly luck of its seed)"
        )


def _size(value: float, quantity: str) -> str:
    """Return a difference without its sign, the smallest with a digit too."""
    return f"{value:.1e}" if value < 1e-4 else difference(value, quantity).removeprefix("+")
