"""TPE on a bounded history: what a new trial costs does not grow with the trials that came before it.

Optuna 5's TPE looks through every trial several times for each new one: 0.1 s a trial at 3,000 trials on one core and
growing. It models the best 25 trials against the rest; here it sees the best and the latest, which changes nothing
up to SEEN trials and the rest's density only beyond.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

BEST, LATEST = 50, 150  # finished trials seen; TPE takes 25 at most for good ones
SEEN = BEST + LATEST


class History:
    """A study whose trials are, to its reader, the running ones and the best and latest finished ones."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        self._running: dict[int, FrozenTrial] = {}  # by Optuna's id
        self._best: list[tuple[tuple[float, ...], int, FrozenTrial]] = []  # rank, number, trial
        self._latest: deque[FrozenTrial] = deque(maxlen=LATEST)
        self._opened: int | None = None  # id of the trial that is being drawn, not shown before it has its parameters
        self._changed: set[int] = set()  # ids of trials to be read again
        self._new: list[FrozenTrial] = []  # ended since the sampler last looked at their distributions
        for trial in study.get_trials(deepcopy=False):
            self._take(trial)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def opened(self, trial: FrozenTrial) -> None:
        """Notes that a trial is being drawn; the one before it has its parameters by now."""
        if self._opened is not None:
            self._changed.add(self._opened)
        self._opened = trial._trial_id

    def ended(self, trial: FrozenTrial) -> None:
        """Notes that a trial is about to end; it is read with the next one, when the storage knows."""
        if self._opened == trial._trial_id:
            self._opened = None
        self._changed.add(trial._trial_id)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The trials seen, by number."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        assert not deepcopy, "Optuna's samplers read only"
        self._read_changed()
        seen = {t.number: t for t in [*(t for _, _, t in self._best), *self._latest, *self._running.values()]}
        return [seen[number] for number in sorted(seen) if states is None or seen[number].state in states]

    def newly_ended(self) -> _Ended:
        """The study with the trials that ended since the last call."""
        self._read_changed()
        new, self._new = self._new, []
        return _Ended(self._study, new)

    def _read_changed(self) -> None:
        while self._changed:
            self._take(self._study._storage.get_trial(self._changed.pop()))

    def _take(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.RUNNING:
            self._running[trial._trial_id] = trial
            return
        self._running.pop(trial._trial_id, None)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.intermediate_values:
            self._new.append(trial)
            self._latest.append(trial)
            insort(self._best, (self._rank(trial), trial.number, trial))
            del self._best[BEST:]

    def _rank(self, trial: FrozenTrial) -> tuple[float, ...]:
        """Smaller is better, in TPE's order: complete trials by value, pruned ones by how far they came."""
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            return (0.0, self._sign * trial.value)
        step, value = max(trial.intermediate_values.items())
        return (1.0, -step, self._sign * value)


class _Ended:
    """A study whose trials are, to its reader, only these."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        self._study, self._trials = study, trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, **_: Any) -> list[FrozenTrial]:
        return self._trials


class BoundedTPESampler(TPESampler):
    """Optuna's TPE, which is shown a History in place of its study."""

    _history: History | None = None

    def _seen(self, study: optuna.Study) -> Any:
        if self._history is None:
            self._history = History(study)
        return self._history

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._seen(study).opened(trial)
        super().before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Optuna adds what it is shown to the groups of parameters that it has found before.
        return super().infer_relative_search_space(self._seen(study).newly_ended(), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(self._seen(study), trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        super().after_trial(study, trial, state, values)
        self._seen(study).ended(trial)
