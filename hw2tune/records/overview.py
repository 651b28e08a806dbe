"""A study at a glance: what `study`, `status` and the report read of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2tune.errors import Hw2tuneError, StudyFileError, StudyFolderError
from hw2tune.records.atomic import stamp
from hw2tune.records.layout import StudyFolder, study_folders
from hw2tune.records.lock import Owner, owner_of, this_process
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow, best_first, trial_rows
from hw2tune.records.trials.states import COMPLETE, DIVERGED, INTERRUPTED, RANKED, RUNNING, WAITING
from hw2tune.records.trials.storage import TrialReader
from hw2tune.study.arms import search_name, searches
from hw2tune.study.file import parse_study, read_text
from hw2tune.study.schema import Study
from hw2tune.text.plain import SCHEMA

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# In a list of studies as JSON, one that cannot be read: `name` and `error` are filled in.
UNREADABLE: dict[str, Any] = {
    "schema": SCHEMA, "name": "", "folder": "", "state": "unreadable", "objective": None, "direction": None,
    "trials_planned": None, "trials_finished": 0, "best": None, "baseline": None, "l2": None, "references": {},
    "trials": [], "searches": [], "best_arm": None, "error": "", "done": 0, "extent": None, "unit": None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A study, its trials, and whether a process runs it."""

    folder: StudyFolder
    study: Study
    rows: list[TrialRow]
    running: Owner | None
    searches: tuple[Overview, ...] = ()  # of a study with arms, which has no rows of its own; in the order of running
    trials: Sequence[FrozenTrial] = field(default=(), compare=False, repr=False)  # as Optuna has them, one per row
    reader: TrialReader | None = field(default=None, compare=False, repr=False)  # of the trials
    stamps: tuple[object, ...] = field(
        default=(), compare=False, repr=False
    )  # of study file and journal, before they were read

    @property
    def finished(self) -> list[TrialRow]:
        """Trials that ended, in whatever state."""
        return [row for row in self.rows if row.state not in (RUNNING, INTERRUPTED, WAITING)]

    @property
    def every_row(self) -> list[TrialRow]:
        """Trials of the study and of its searches; a number is then one of several."""
        return [*self.rows, *(row for search in self.searches for row in search.rows)]

    @property
    def every_finished(self) -> list[TrialRow]:
        """Trials that ended, of the study and of its searches."""
        return [row for one in self.searches or (self,) for row in one.finished]

    def searches_of(self, arm: str) -> list[Overview]:
        """The searches of an arm, the first one first."""
        names = [search_name(arm, number) for number in range(1, self.study.searches + 1)]
        return [search for search in self.searches if search.folder.root.name in names]

    @property
    def compared(self) -> int:
        """The number of searches that every arm has complete, from the first one on."""
        of_arms = [self.searches_of(arm) for arm in self.study.arms]
        unfinished = (n for n in range(self.study.searches) if not all(one[n].is_complete for one in of_arms))
        return next(unfinished, self.study.searches)

    @property
    def best(self) -> TrialRow | None:
        return next(iter(best_first(self.rows, self.study.direction)), None)

    @property
    def leading(self) -> Overview:
        """The search with the best trial: one of the arms' searches, or the study itself if it has no arms."""
        best = best_first([one.best for one in self.searches if one.best], self.study.direction)
        return next((one for one in self.searches if best and one.best is best[0]), self)

    @property
    def best_arm(self) -> str | None:
        """The name of the arm's search with the best trial, None without arms or before a trial has a value."""
        return None if self.leading is self else self.leading.folder.root.name

    @property
    def all_failed(self) -> bool:
        """Return whether trials ended and none of them with a value, in one search at least."""
        if self.searches:
            return any(search.all_failed for search in self.searches)
        return bool(self.finished) and not any(row.state in RANKED for row in self.finished)

    @property
    def stand_in(self) -> TrialRow | None:
        """The first trial that diverged, for a search that found nothing: no trial has a value, and one diverged."""
        return next((row for row in self.finished if row.state == DIVERGED), None) if self.all_failed else None

    @property
    def state(self) -> str:
        if self.running:
            return RUNNING
        return COMPLETE if self.is_complete else INTERRUPTED

    @property
    def done(self) -> int:
        """The part of the study's extent that is done: finished trials, or with a budget epochs of any trial."""
        own = self.study.done(len(self.finished), sum(row.epochs_spent for row in self.rows))
        return own + sum(search.done for search in self.searches)

    @property
    def extent(self) -> tuple[int, str]:
        """Size of the study, or of its searches together, and its unit: trials, or with a budget epochs."""
        return sum(one.study.extent[0] for one in self.searches or (self,)), self.study.extent[1]

    @property
    def trials_planned(self) -> int | None:
        """Trials in all, as many as the space allows; None if a budget of epochs ends the search."""
        whole, unit = self.extent
        return whole if unit == "trials" else None

    @property
    def is_complete(self) -> bool:
        if self.searches:
            return all(search.is_complete for search in self.searches)
        begun = sum(row.state in (RUNNING, INTERRUPTED) for row in self.rows) if self.study.budget else 0
        return not begun and self.study.trials_left(len(self.finished), sum(row.epochs_spent for row in self.rows)) == 0

    @property
    def out_of_trials(self) -> bool:
        """Whether a search has all the trials that it may have."""
        return any(len(one.finished) >= one.study.trials_possible for one in self.searches or (self,))

    @property
    def turn(self) -> str:
        """When and why the search turned to its race; empty while it runs, or if its budget has none.

        A search of an earlier version spent all of its budget, and had its race on top of it.
        """
        study = self.study
        kept = max(study.budget_epochs or 0, study.references_possible * study.max_epochs)
        spent = (sum(row.epochs_spent for row in one.rows) for one in self.searches or (self,))
        if not (study.race_trainings and self.is_complete and max(spent) <= kept):
            return ""
        turned = "each search turned" if self.searches else "the search turned"
        after = "" if self.searches else f" after {self.done} epochs"
        rest = f"the last {study.race_trainings} trainings of a budget of {study.budget} are for it"
        if self.out_of_trials:
            return f"{turned} to its race{after}, as no further trial was possible: {rest}"
        why = "where second seeds of the best trials are worth no less than new ones"
        return f"{turned} to its race{after}: {rest}, {why}"

    @property
    def machines(self) -> dict[str, list[int]]:
        """The numbers of the running trials that have had an epoch, by the address of the machine of their last one."""
        found: dict[str, list[int]] = {}
        for row in self.rows:
            if row.state == RUNNING and (epochs := read_epochs(self.folder.trial(row.number))):
                found.setdefault(str(epochs[-1].get("node_ip", "?")), []).append(row.number)
        return found

    def labelled(self, label: str) -> TrialRow | None:
        return next((row for row in self.rows if row.label == label), None)

    def as_json(self) -> dict[str, Any]:
        """For `--json`: a versioned schema, keys are only ever added to it."""
        # `baseline` and `l2` are of version 0.1, when every study had these two references.
        rows = {"best": self.leading.best, "baseline": self.labelled("baseline"), "l2": self.labelled("l2")}
        references = {name: self.labelled(name) for name in self.study.references}
        return {
            "schema": SCHEMA,
            "name": self.folder.name,
            "folder": str(self.folder.root),
            "state": self.state,
            "objective": self.study.objective,
            "direction": self.study.direction,
            "trials_planned": self.trials_planned,
            "trials_finished": len(self.every_finished),
            "done": self.done,
            "extent": self.extent[0],
            "unit": self.extent[1],
            "race_trainings": self.study.race_trainings,
            "turn": self.turn,
            "machines": self.machines,
            **{name: row and asdict(row) for name, row in rows.items()},
            "best_arm": self.best_arm,
            "references": {name: row and asdict(row) for name, row in references.items()},
            "trials": [asdict(row) for row in self.rows],
            "searches": [search.as_json() for search in self.searches],
        }


def read_study(folder: StudyFolder) -> Study:
    """The study in a folder, under the folder's name, which counts. Raises StudyFileError, StudyFolderError."""
    text = read_text(folder.study_file)
    if not text.strip():
        raise StudyFileError(
            f"{folder.study_file}: is empty, as a power loss can leave it; put a copy in its place (the study's file "
            "with the options that it was run with), or set the study aside with --fresh"
        )
    study = parse_study(text, str(folder.study_file), missing_code_ok=True, was_run=lambda name: True)
    return study.model_copy(update={"name": folder.name})


def without_trials(folder: StudyFolder, known: Overview | None = None) -> Overview:
    """Read the study alone. Raises StudyFileError, StudyFolderError. It can be handed to `read_overview` as `known`."""
    stamps = (folder, stamp(folder.study_file))
    study = known.study if known and known.stamps[:2] == stamps else read_study(folder)
    return Overview(folder=folder, study=study, rows=[], running=None, stamps=stamps)


def read_overview(folder: StudyFolder, known: Overview | None = None) -> Overview:
    """Read a study's folder, also while a process writes it. Raises StudyFileError, StudyFolderError.

    `known` is handed on, as far as the files have not changed since: of a journal that has grown the end alone is read.
    """
    try:
        there = without_trials(folder, known)
        if there.study.arms:
            return with_searches(there, known.searches if known else ())
        stamps, running = (*there.stamps, stamp(folder.journal)), owner_of(folder)
        if known and known.stamps == stamps and running in (known.running, this_process()):
            return known
        reader = known.reader if known and known.reader and known.folder == folder else TrialReader(folder)
        trials = reader.read()
        same = known and known.study is there.study and (known.running is None) == (running is None)
        before = {id(trial): row for trial, row in zip(known.trials, known.rows, strict=True)} if known and same else {}
        rows = trial_rows(there.study, trials, alive=running is not None, known=before)
    except Hw2tuneError:
        raise
    except Exception as error:  # a stranger's records can hold anything, and must not hide other studies
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise StudyFolderError(
            f"{folder.root}: holds a record that hw2tune does not write ({what}); put a copy in its place, or set the "
            "study aside with --fresh"
        ) from error
    return replace(there, rows=rows, running=running, trials=trials, reader=reader, stamps=stamps)


def without_rows(folder: StudyFolder, study: Study) -> Overview:
    """Return the overview of a study that has not begun."""
    return Overview(folder=folder, study=study, rows=[], running=None)


def with_searches(there: Overview, known: Sequence[Overview] = ()) -> Overview:
    """Read the searches of a study with arms, each as its study file has it now, also those not yet begun."""
    before, found = {one.folder: one for one in known}, list[Overview]()
    for study in searches(there.study):
        folder = StudyFolder(there.folder.arms / study.name)
        named = study.model_copy(update={"name": folder.name})
        begun = os.path.lexists(folder.study_file)
        one = read_overview(folder, before.get(folder)) if begun else without_rows(folder, study)
        found.append(replace(one, study=named))
    return replace(there, searches=tuple(found), running=owner_of(there.folder))


def read_overviews(results: Path, known: Mapping[str, Overview] | None = None) -> tuple[list[Overview], dict[str, str]]:
    """Every study in a results folder that can be read, and for each of the others, by name, why not.

    `known` is handed on by name, as in `read_overview`.
    """
    sound, faults, known = [], {}, known or {}
    for folder in study_folders(results):
        try:
            sound.append(read_overview(folder, known.get(folder.name)))
        except Hw2tuneError as error:
            faults[folder.name] = str(error)
    return sound, faults


def find_folder(results: Path, name: str) -> StudyFolder:
    """The folder of a study in `results`, or as `STUDY/ARM` of an arm's search. Raises StudyFolderError, naming those
    that are there.
    """
    name, _, search = name.partition("/")
    there = {folder.name: folder for folder in study_folders(results)}
    if name not in there:
        known = f"it holds {', '.join(there)}" if there else "it holds none yet; `hw2tune study NAME` makes one"
        raise StudyFolderError(f"{results}: no study `{name}`; {known}")
    if not search:
        return there[name]
    arms = {folder.root.name: folder for folder in study_folders(there[name].arms)}
    if search not in arms:
        known = f"it has {', '.join(arms)}" if arms else "it has none"
        raise StudyFolderError(f"{there[name].root}: no arm `{search}`; {known}")
    return arms[search]
