"""One run of a study on a connection to Ray: checks, the search, and the verdict from the records on disk; its plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hw2tune.data.dataset import Dataset
from hw2tune.errors import NoTrialFinishedError, StudyFolderError
from hw2tune.events import Listeners, StudyFinished, StudyStarted
from hw2tune.execution.machine import this_machine
from hw2tune.execution.preflight import make_plan, preflight
from hw2tune.execution.request import Connection, Request, load_for, resolve
from hw2tune.loggers import optuna_silenced
from hw2tune.records.dataset import refuse_other_images
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import make_folder
from hw2tune.records.opening import opened, refuse_another_study, refuse_in_use
from hw2tune.records.overview import Overview, read_overview, with_searches, without_rows
from hw2tune.records.remote.mirror import mirrored, reading, reading_study
from hw2tune.records.trials.rows import trial_rows
from hw2tune.records.trials.states import COMPLETE, INTERRUPTED
from hw2tune.records.trials.storage import read_trials
from hw2tune.resources import Capacity, find_capacity
from hw2tune.search.cost import Cost, estimate, together
from hw2tune.search.driver import RunEnd
from hw2tune.search.view import fitting, take_over
from hw2tune.study.arms import searches
from hw2tune.study.earlier import earlier_faults
from hw2tune.study.file import may_change, with_replaced
from hw2tune.study.names import RACE, REPLACED
from hw2tune.study.schema import Study
from hw2tune.study_result import StudyResult
from hw2tune.text.numbers import counted

if TYPE_CHECKING:
    from hw2tune.execution.cluster import Cluster


def run_on(
    connection: Connection, request: Request, tell: Listeners, *, execute: Callable[..., RunEnd] | None = None
) -> StudyResult:
    """Run a study on a connection that others use as well; `execute`, with its arguments, is in place of `run_tune`."""
    deadline = None if request.time_budget is None else time.monotonic() + request.time_budget
    study = resolve(request)
    run = _Run(connection=connection, request=request, tell=tell, deadline=deadline, execute=execute)
    with optuna_silenced(), mirrored(request.results, [study.name], tell.note) as results:
        return (run.arms if study.arms else run.search)(results, study, fresh=request.fresh)


def checked(
    request: Request,
    replicates: int | Literal["auto"] | None = None,
    most: int | None = None,
    race: int = RACE,
    each_finalist: int = 0,
    splits: int | None = None,
) -> tuple[StudyStarted, Cost, list[str]]:
    """Return the plan of a study, its cost with that of its replicates, and notes; nothing is trained."""
    from hw2tune.replication.price import with_replicates
    from hw2tune.replication.rounds import SeedCount

    study = resolve(request)
    folder = StudyFolder(reading(request.results, study.name) / study.name)
    before = refuse_another_study(folder, study)
    data = load_for(study, request.data_dir, Listeners(), download=False)
    refuse_other_images(folder, data)
    capacity = find_capacity([this_machine()], request.resources)
    named, study = study, with_replaced(study)
    rows = trial_rows(study, before.trials if before else read_trials(folder), alive=False)
    facts = preflight(study, folder, rows, data=data, at=capacity)
    plan = make_plan(study, folder, rows, data=data, capacity=capacity)
    there = with_searches(replace(before, study=study) if before else without_rows(folder, study))
    costs, known = list[Cost](), (facts.epoch_seconds, facts.source)
    for one in there.searches or [replace(there, rows=rows)]:
        each = make_plan(one.study, one.folder, one.rows, data=data, capacity=capacity)
        costs.append(estimate(each, one.folder, *known))
        known = costs[-1].epoch_seconds, costs[-1].source  # measured in an earlier search
    count = SeedCount.of(study, replicates, most, study.searches, splits)
    cost = with_replicates(together(costs), plan, count, race=race, each_finalist=each_finalist)
    return plan, cost, [*_of_earlier(named, before), *facts.notes]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run of a study: of its search, or of its arms' searches one after the other."""

    connection: Connection
    request: Request
    tell: Listeners
    deadline: float | None
    execute: Callable[..., RunEnd] | None

    def cluster(self) -> Cluster:
        """Return the Ray of this command, which waits for machines as long as it has time."""
        cluster = self.connection.cluster(meanwhile="hw2tune.execution.run")
        cluster.until = self.deadline
        return cluster

    def search(
        self, results: Path, study: Study, *, fresh: bool = False, data: Dataset | None = None, sound: bool = False
    ) -> StudyResult:
        """Run a search in its folder; `data`, if they were checked before; `sound` as in `run_trials`."""
        request, tell, folder, before = self.request, self.tell, StudyFolder(results / study.name), None
        if fresh:
            refuse_in_use(folder)
        elif (before := refuse_another_study(folder, study)) and (there := _finished(study, before, tell)):
            self.note_trials_in_vain(study, before)
            return there
        self.refuse_unfit([study])
        data = data or _checked_images(study, folder, before, request, tell)
        study = with_replaced(study)
        # Ray and Tune take seconds to import: not before everything that may refuse has been looked at. The folder is
        # touched last: a command that is refused changes nothing.
        cluster = self.cluster()
        if study.order == "virtual" and study.slots is None:
            slots = before.study.slots if before else None
            study = study.model_copy(update={"slots": slots or cluster.capacity().concurrency})
        with opened(results, study, data, fresh=fresh, say=tell.note, known=before) as folder:
            from hw2tune.execution.run import run_trials
            from hw2tune.execution.tune import run_tune

            if self.known is not None:
                tell.note(take_over(study, folder, self.known))
            _note_run(study, folder, data, cluster.capacity(), tell)
            end = run_trials(
                study, folder=folder, data=data, cluster=cluster, tell=tell, retries=request.retries,
                deadline=self.deadline, sound=sound, execute=self.execute or run_tune,
            )  # fmt: skip
        return _judged(read_overview(folder, before), end)

    def arms(self, results: Path, study: Study, *, fresh: bool) -> StudyResult:
        """Run the searches that are not complete, each in its folder, while this process holds the study's."""
        folder, tell, before = StudyFolder(results / study.name), self.tell, None
        if fresh:
            refuse_in_use(folder)
        elif before := refuse_another_study(folder, study):
            study = _on_no_less(before, study)
            if _complete(before, study):
                self.note_trials_in_vain(study, before)
                return _with_claims_of(study, before, tell)
        self.refuse_unfit(searches(study))
        data = _checked_images(study, folder, before, self.request, tell)
        study = with_replaced(study)
        cluster, end, sound = self.cluster(), RunEnd.COMPLETE, False
        with opened(results, study, data, fresh=fresh, say=tell.note, known=before) as folder:
            make_folder(folder.arms)  # from here on another study is refused
            _note_run(study, folder, data, cluster.capacity(), tell)
            for search in searches(study):
                result = self.search(folder.arms, search, data=data, sound=sound)
                sound = sound or result.overview.best is not None
                if result.overview.stand_in:
                    tell.note(
                        f"{result.overview.folder.root}: every trial diverged; the search counts, as one that failed"
                    )
                end = result.end or end
                if end is not RunEnd.COMPLETE:
                    break
        return StudyResult(read_overview(folder, before), end)

    def note_trials_in_vain(self, study: Study, before: Overview) -> None:
        """Say that `--trials` asks for more than the budget of a complete study allows."""
        asked, budget = self.request.overrides.get("trials"), study.budget_epochs
        if not asked or budget is None or study.budget is None:
            return
        if any(
            len(one.finished) < asked and one.done + study.least_epochs > budget for one in before.searches or (before,)
        ):
            self.tell.note(
                f"--trials {asked} begins no further one, as the study's budget of {counted(study.budget, 'training')} "
                "is spent; a larger --budget continues it"
            )

    @cached_property
    def known(self) -> Overview | None:
        """The study whose trials the samplers shall know."""
        name = self.request.warm_start
        return None if name is None else read_overview(reading_study(self.request.results, name))

    def refuse_unfit(self, studies: Sequence[Study]) -> None:
        """Raise StudyFolderError for a study whose sampler could know nothing of `known`."""
        if self.known is not None:
            for study in studies:
                fitting(study, self.known)


def _finished(study: Study, overview: Overview, tell: Listeners) -> StudyResult | None:
    """Return the study if all its trials are there; claims and data set of the study file are then updated."""
    folder = overview.folder
    begun = any(row.state == INTERRUPTED for row in overview.rows)
    if begun or study.trials_left(len(overview.finished), sum(row.epochs_spent for row in overview.rows)):
        return None
    there = _with_claims_of(study, overview, tell)
    tell(StudyFinished(folder=str(folder.root), end=RunEnd.COMPLETE.value, rows=there.overview.rows))
    return there


def _complete(before: Overview, study: Study) -> bool:
    """Return whether all searches that the study has now are there."""
    return with_searches(replace(before, study=study), before.searches).is_complete


def _on_no_less(before: Overview, study: Study) -> Study:
    """Return the study, on the budget that all its arms have had if that is more than it asks for.

    Raises StudyFolderError if only some have had it: they are compared on the same one.
    """
    there = before.study
    if not _asks_for_less(before, study):
        return study
    asked, had = (one.budget or one.trials for one in (study, there))
    same = study.model_copy(update={"trials": there.trials, "budget": there.budget})
    if not _complete(before, same):
        option = "--budget" if there.budget else "--trials"
        raise StudyFolderError(
            f"{before.folder.root}: arms are compared on the same budget, and some may have had more than {asked} "
            f"{'trials' if study.budget is None else 'whole trials'} here; use {option} {had} or more"
        )
    return same


def _asks_for_less(before: Overview, study: Study) -> bool:
    """Return whether a study asks for less than its arms were to have; in other units, than one of them has had."""
    there = before.study
    if (study.budget is None) == (there.budget is None):
        return (study.budget or study.trials) < (there.budget or there.trials)
    if study.budget_epochs is None:
        return any(len(one.rows) > study.trials for one in before.searches)
    return any(sum(row.epochs_spent for row in one.rows) > study.budget_epochs for one in before.searches)


def _with_claims_of(study: Study, overview: Overview, tell: Listeners) -> StudyResult:
    """Return a complete study, with claims, data set, numbers of searches and replicates of the study file."""
    folder, there = overview.folder, _judged(overview, RunEnd.COMPLETE)
    taken_over = ("claims", "replicates", "max_replicates", "dataset", "arms", "searches", "splits")
    if any(getattr(there.study, key) != getattr(study, key) for key in taken_over):
        with opened(folder.root.parent, study, say=tell.note, known=overview):
            pass  # written
        there = _judged(read_overview(folder), RunEnd.COMPLETE)
    return there


def _note_run(study: Study, folder: StudyFolder, data: Dataset, capacity: Capacity, tell: Listeners) -> None:
    slots = {"at": capacity.text, "trials_at_once": capacity.concurrency}
    each = {"threads": capacity.threads, "gpus_per_trial": capacity.gpus_per_trial}
    add_run(
        folder,
        tell.note,
        study=may_change(study),
        seeds={"study": study.seed, "split": study.split_seed},
        data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
        resources=slots | each,
    )


def _checked_images(
    study: Study, folder: StudyFolder, before: Overview | None, request: Request, tell: Listeners
) -> Dataset:
    """Load the study's images; refuse, or note, what can be known before a search. Raises Hw2tuneError."""
    data = load_for(study, request.data_dir, tell)
    if not request.fresh:
        refuse_other_images(folder, data)
    if not request.resources.machines_change:
        find_capacity([this_machine()], request.resources)  # refuses what will not fit
    trials = before.trials if before else [] if request.fresh else read_trials(folder)
    rows = trial_rows(study, trials, alive=False)
    notes = preflight(with_replaced(study), folder, rows, data=data, fresh=request.fresh).notes
    for note in (*_of_earlier(study, before), *notes):
        tell.note(note)
    return data


def _of_earlier(study: Study, before: Overview | None) -> Iterator[str]:
    """Notes on what only a study of an earlier version can have."""
    yield from (f"{key}: {fault}" for key, fault in earlier_faults(study).items())
    name = (before.study if before else study).sampler.name
    if name in REPLACED:
        draws = "each configuration that is still to be drawn" if before else "the configurations"
        yield f"sampler {name} of earlier versions is no longer there: {REPLACED[name]} draws {draws}"


def _judged(overview: Overview, end: RunEnd) -> StudyResult:
    """Return a run's result. Raises NoTrialFinishedError if every trial of a search failed.

    One of an arm that diverged is a result: the search found nothing.
    """
    for one in overview.searches or (overview,):
        if overview.state == COMPLETE and one.all_failed and not (one.folder.is_arm and one.stand_in):
            name, root = one.folder.name, one.folder.root
            again = f"; correct the cause, move {root} away, and `hw2tune study {one.folder.study_name}` searches again"
            raise NoTrialFinishedError(
                f"{root}: every one of {len(one.finished)} trials failed, the last one `{one.finished[-1].reason}`; "
                f"hw2tune status {name} shows each{again if one.folder.is_arm else ''}"
            )
    return StudyResult(overview, end)
