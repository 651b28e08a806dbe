"""The life of each trial, written to Optuna's storage and its folder, and told to listeners."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import NotWritableError
from hw2tune.events import EpochFinished, Listeners, TrialFinished, TrialRetried
from hw2tune.records.arrays import Array
from hw2tune.records.atomic import Content, write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import (
    append_epoch,
    drop_checkpoints,
    find_checkpoint,
    read_epochs,
    write_checkpoint,
    write_epochs,
    write_weights,
)
from hw2tune.records.trials.rows import BESIDES, LABEL, REASON, STATE, TrialRow, besides, configuration_of, trial_rows
from hw2tune.records.trials.states import DIVERGED
from hw2tune.records.trials.storage import in_one_write
from hw2tune.search.algorithms import told_as_users
from hw2tune.search.design import UnitPoint, coordinates
from hw2tune.search.failures import Failure
from hw2tune.search.order import DROPPED, ENDED_IN
from hw2tune.search.risk import CAUTION
from hw2tune.search.view import View, as_stored, read_observations
from hw2tune.study.hyperparameters import Identity, Value, identity
from hw2tune.study.objectives import PARAMETERS, SECONDS, best_epoch, never_finite, sign_of
from hw2tune.study.schema import Study
from hw2tune.study.space import COUNTED

DRAWS = 20  # at most, of configurations that were there before or are likely to fail
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
ENQUEUED = "enqueued"  # user attribute of a trial that the study file asks for: its place there
FIXED = "fixed_params"  # the system attribute with which Optuna 5 enqueues a configuration

Weights = Callable[[], Mapping[str, Array] | None]  # fetches a network's weights by name; None if they are gone


class Recorder:
    """All writing about trials goes through here, in the driver's process."""

    def __init__(self, study: Study, optuna_study: optuna.Study, folder: StudyFolder, tell: Listeners) -> None:
        self.study, self.optuna_study, self.folder, self.tell = study, optuna_study, folder, tell
        self.not_writable: NotWritableError | None = None  # once the disk refuses
        self.taken: dict[Identity, FrozenTrial] = {}  # the first trial of each configuration
        self.weights: dict[int, tuple[int | None, Weights]] = {}  # of trials that run, by number: best epoch, weights
        for trial in self.trials():
            self._take(trial)
        self.view = View(study, optuna_study, read_observations(study, folder))

    def enqueue_references(self) -> None:
        """Make the references the first trials of a new study, and what is enqueued the next ones, each once."""
        for label, configuration in self.study.references.items():
            self._enqueue(f"references.{label}", configuration, {LABEL: label})
        for number, configuration in enumerate(self.study.enqueue):
            self._enqueue(f"enqueue.{number}", configuration, {ENQUEUED: number})

    def _enqueue(self, place: str, configuration: Mapping[str, Value], attributes: dict[str, Any]) -> None:
        taken = self.taken.get(identity(self.study.complete(configuration)))
        if taken is not None:
            if not attributes.items() <= taken.user_attrs.items():
                self.tell.note(f"{place}: is the configuration of trial {taken.number}; it is trained once")
            return
        searched = {name: value for name, value in configuration.items() if name in self.study.space}
        fixed = {name: value for name, value in configuration.items() if name not in self.study.space}
        attributes |= {BESIDES: fixed} if fixed and ENQUEUED in attributes else {}
        self.optuna_study.enqueue_trial(self.study.search_space.encode(searched), user_attrs=attributes)
        self._take(self.trials()[-1])

    def _take(self, trial: FrozenTrial) -> None:
        """Note a trial's configuration, which it has as soon as it is enqueued."""
        if stored := trial.system_attrs.get(FIXED, {}) | trial.params:
            configuration = self.study.search_space.decode(stored) | besides(self.study, trial)
            self.taken.setdefault(identity(self.study.complete(configuration)), trial)

    def configuration(self, trial: optuna.Trial | FrozenTrial) -> dict[str, Value]:
        """The complete configuration: as it was drawn, with what [training] or its reference fixes."""
        return self.study.complete(configuration_of(self.study, trial))

    @property
    def unfinished(self) -> bool:
        """Return whether trials are missing, or some that were begun are not at their end."""
        left = self.study.trials_left(len(self.trials(*FINISHED)), self.epochs_spent)
        return left > 0 or bool(self.trials(TrialState.RUNNING))

    @property
    def epochs_spent(self) -> int:
        """Epochs of all trials."""
        return sum(row.epochs_spent for row in self.rows())

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in these states, by number; all of them if none is named."""
        return self.optuna_study.get_trials(deepcopy=False, states=states or None)

    def rows(self) -> list[TrialRow]:
        """Every trial as a row."""
        return trial_rows(self.study, self.trials(), alive=True)

    def open_trial(self) -> optuna.Trial:
        """Begin the next trial, of what is enqueued or else of a new configuration, and write it down."""
        if self.trials(TrialState.WAITING):
            trial = self.optuna_study.ask()
        else:
            self.optuna_study.add_trial(self._draw())
            trial = optuna.trial.Trial(self.optuna_study, self.trials()[-1]._trial_id)
        self.folder.trial(trial.number).clear()  # a journal that lost its end gives numbers out again
        self._begin(trial)
        return trial

    def _draw(self) -> FrozenTrial:
        """Return a trial of a configuration that no other has; in a small space the same would be trained many times.

        A configuration that was there before is drawn again, and with `tpe` one that is likely to fail. If the sampler
        has no new one, another is taken.
        """
        study, space = self.study, self.study.search_space
        if study.sampler.name == "grid":
            left = (one for kind, one in (study.configurations or {}).items() if kind not in self.taken)
            return as_stored(space, next(left), state=TrialState.RUNNING)
        chance, new = random.Random(study.seed + len(self.trials())), None
        risk = self.view.learned_risk() if study.sampler.name == "tpe" else None
        for _ in range(DRAWS):
            drawn = self.view.draw()
            if self._is_new(configuration := space.decode(drawn.params)):
                new = drawn
                if risk is None or chance.random() < (1 - risk(configuration)) ** CAUTION:
                    break
        if new is not None:
            return new
        if study.configurations is not None:
            others = iter(chance.sample(list(study.configurations.values()), len(study.configurations)))
        else:
            points = ({name: chance.random() for name in coordinates(space)} for _ in range(COUNTED))
            others = (space.suggest(UnitPoint(point)) for point in points)
        another = next(filter(self._is_new, others), space.decode(drawn.params))
        return as_stored(space, another, state=TrialState.RUNNING, system_attrs=drawn.system_attrs)

    def _is_new(self, configuration: Mapping[str, Value]) -> bool:
        return identity(self.study.complete(configuration)) not in self.taken

    def _begin(self, trial: optuna.Trial) -> None:
        """Complete the configuration of an enqueued trial, or of one that was killed meanwhile, and write it down."""
        with in_one_write(trial):
            self.study.search_space.suggest(trial)
        self._take(self._stored(trial))
        record = {"number": trial.number, "label": trial.user_attrs.get(LABEL, ""), "seed": self.study.seed}
        record |= self.configuration(trial)
        write_atomically(self.folder.trial(trial.number).params, json.dumps(record, indent=2) + "\n")

    def resume(self, frozen: FrozenTrial) -> tuple[optuna.Trial, Content | None]:
        """Return an interrupted trial, of the same number and configuration, and the checkpoint it continues from."""
        # Optuna 5.0 has no public way to continue a running trial of another process; Trial(study, id) is what
        # `ask` itself returns, and suggest_* on it gives back the stored values.
        trial = optuna.trial.Trial(self.optuna_study, frozen._trial_id)
        self._begin(trial)
        folder = self.folder.trial(trial.number)
        found = find_checkpoint(folder)
        if found.damaged:
            files = " and ".join(path.name for path in found.damaged)
            self.tell.note(f"trial {trial.number}: {files} damaged, it goes on from epoch {found.epoch}")
            if found.content is not None:
                write_atomically(folder.last, found.content)
        if found.content is None:
            folder.remove(*folder.checkpoints)
        return trial, found.content

    def requeue(self, trial: optuna.Trial, failure: Failure, retry: str) -> FrozenTrial:
        """Note that another attempt follows, from the checkpoint: ` (retry 1 of 2)`, if it costs one.

        Return what `resume` takes.
        """
        on = f" on {failure.machine}" if failure.machine else ""
        then = f"goes on from epoch {find_checkpoint(self.folder.trial(trial.number)).epoch}{retry}"
        self.tell(TrialRetried(trial=trial.number, text=f"trial {trial.number}: {failure.reason}{on}; {then}"))
        return self._stored(trial)

    def append_error(self, number: int, failure: Failure) -> None:
        """Add an attempt's failure to the trial's `error.txt`."""
        if failure.traceback:
            errors = self.folder.trial(number).errors
            before = errors.read_text(encoding="utf-8") + "\n" if errors.exists() else ""
            write_atomically(errors, f"{before}{failure.reason}\n\n{failure.traceback}")

    def follow_checkpoint(self, trial: optuna.Trial, history: Sequence[Mapping[str, Any]]) -> None:
        """Make the file hold the epochs in `history`, which are those of the trial's checkpoint, and the storage too.

        The storage keeps the values of later epochs, which are trained again.
        """
        folder = self.folder.trial(trial.number)
        there = {record["epoch"]: record for record in read_epochs(folder)}
        write_epochs(folder, [there.get(epoch["epoch"], epoch) for epoch in history])
        known = self._stored(trial).intermediate_values
        for epoch in history:
            if epoch["epoch"] not in known:
                value = epoch[self.study.objective]  # None in a file is not a number
                trial.report(math.nan if value is None else value, epoch["epoch"])

    def record_epoch(self, trial: optuna.Trial, record: Mapping[str, Any], checkpoint: Content | None) -> None:
        """Write one epoch: line, then checkpoint if any, then Optuna. `follow_checkpoint` joins what a kill parts."""
        folder, epoch = self.folder.trial(trial.number), int(record["epoch"])
        if epoch == 1:  # of an earlier attempt there may be lines
            write_epochs(folder, [record])
        else:
            append_epoch(folder, record)
        if checkpoint is not None:
            write_checkpoint(folder, checkpoint)
        with warnings.catch_warnings():
            # A trial that went back to an older checkpoint repeats epochs that the storage knows already.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            trial.report(record[self.study.objective], epoch)
        self.tell(EpochFinished(trial=trial.number, record=record))

    def keep_weights(self, number: int, epochs: Sequence[Mapping[str, Any]], weights: Weights | None) -> None:
        """Keep what fetches a trial's weights after the best of these epochs, for its end; None changes nothing."""
        if weights is not None:
            known = {one["epoch"]: one[self.study.objective] for one in epochs}
            values = {epoch: math.nan if value is None else value for epoch, value in known.items()}
            self.weights[number] = best_epoch(values, self.study.direction), weights

    def last_epoch(self, trial: optuna.Trial) -> int:
        """Return the last epoch of a trial whose value Optuna's storage has."""
        return self._stored(trial).last_step or 0

    @property
    def dropped_epochs(self) -> int:
        """Epochs trained behind a stop, of a study in virtual order."""
        return int(self.optuna_study.user_attrs.get(DROPPED, 0))

    def note_dropped(self, epochs: int) -> None:
        """Note the number of epochs trained behind a stop."""
        if epochs != self.dropped_epochs:
            self.optuna_study.set_user_attr(DROPPED, epochs)

    def should_prune(self, trial: optuna.Trial) -> bool:
        """Ask the pruner, for references too, as others are compared with them; but references continue."""
        with told_as_users("pruner", self.study.pruner.name, self.study.code):
            return trial.should_prune() and LABEL not in trial.user_attrs

    def best_first(self, trials: Sequence[optuna.Trial]) -> list[optuna.Trial]:
        """Return running trials that have a value, the best first; of equals the earlier one."""
        rows, sign = self.rows(), sign_of(self.study.direction)
        return sorted(trials, key=lambda one: (-sign * (rows[one.number].value or 0.0), one.number))

    def out_of_patience(self, trial: optuna.Trial) -> bool:
        """Return whether there was no new best for as many epochs as the pruner waits; a reference continues."""
        patience, (values, best) = self.study.pruner.patience, self._values(trial)
        if patience is None or best is None or LABEL in trial.user_attrs:
            return False
        return max(values) - best >= patience

    def without_value(self, trial: optuna.Trial) -> Failure | None:
        """Return the failure of a trial whose epochs have no finite value of the objective, None for any other."""
        values, best = self._values(trial)
        if best is not None:
            return None
        return Failure(state=DIVERGED, reason=never_finite(self.study.objective, values))

    def close_trial(self, trial: optuna.Trial, state: TrialState, attributes: Mapping[str, Any] | None = None) -> None:
        """Tell Optuna how a trial ended, its value being the best over its epochs; `attributes` in the same write."""
        (values, best), folder = self._values(trial), self.folder.trial(trial.number)
        epoch, fetch = self.weights.pop(trial.number, (None, None))
        if fetch is not None and epoch == best and (weights := fetch()) is not None:
            write_weights(folder, weights)
        value = values[best] if best is not None and state == TrialState.COMPLETE else None
        records = read_epochs(folder)
        parameters = records[-1].get(PARAMETERS) if records else None  # that the network trains
        with in_one_write(trial):
            seconds = float(sum(record["epoch_seconds"] for record in records))
            for name, known in {**(attributes or {}), SECONDS: seconds, PARAMETERS: parameters}.items():
                if known is not None:
                    trial.set_user_attr(name, known)
            self.optuna_study.tell(trial.number, value, state=state)
        if best is None or folder.weights.exists():  # else weights that are gone with their worker are in a checkpoint
            drop_checkpoints(folder)
        self.tell(TrialFinished(row=trial_rows(self.study, [self._stored(trial)], alive=True)[0]))

    def close_failed(self, trial: optuna.Trial, failure: Failure) -> None:
        """End a trial that could not go on."""
        attributes = {ENDED_IN: failure.ended_in, STATE: failure.state, REASON: failure.reason}
        self.close_trial(trial, TrialState.FAIL, attributes)

    def _stored(self, trial: optuna.Trial) -> FrozenTrial:
        """Return the trial as it is in the storage. (Of 10,000, listing all for it took most of an epoch's time.)"""
        return trial.storage.get_trial(trial._trial_id)

    def _values(self, trial: optuna.Trial) -> tuple[dict[int, float], int | None]:
        """Return the objective by epoch, and the epoch of its best value."""
        values = self._stored(trial).intermediate_values
        return values, best_epoch(values, self.study.direction)
