"""The choice of the tuned configuration, as text: the race over seeds, and the luck of the best of N."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hw2tune.inference.statistics import Summary, summarize
from hw2tune.records.replicates import Candidate, Race
from hw2tune.records.trials.rows import best_first
from hw2tune.records.trials.states import PRUNED
from hw2tune.report.claims import overlaps_training
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import objective_of
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import counted, difference, listed, measured


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """The part of a best value that was luck. Values of the objective: accuracies as fractions, losses in nats.

    `leader_drop` is the luck of the best of `trials`: between search and race, only the leader's seed differs. A leader
    that was pruned has none, as the race trains it to the end.
    `validation_minus_test` is what validation promises too much (too little, for a loss) of the winner: it was chosen
    by the mean over the race's seeds, each seed's epoch by validation, and the test images are other ones.
    """

    objective: str
    trial: int  # the winner
    trials: int  # that have a value, before the race if there was one
    search_value: float  # of the winner
    race: Summary | None  # the winner's validation over the race's seeds
    test: Summary | None  # test over the replicates of `tuned`, at the epoch that validation chose
    leader: int  # the best trial of the search
    leader_search_value: float
    leader_race: Summary | None  # its validation over the race's seeds
    leader_pruned_at: int | None  # epoch; None if the leader was trained to the end
    leader_drop: float | None  # race - search of the leader; None without a race, or if the leader was pruned
    validation_minus_test: float | None  # of the winner; None without race or replicates
    sentence: str


def optimism(data: StudyData) -> Optimism | None:
    """The leader of the search in the race, the winner of the race on test; None where no trial has a value."""
    study, winner, best = data.overview.study, data.winner, data.overview.best
    race = leader_race = None
    if data.race and winner:
        first = data.race.candidates[0]
        leader, leader_value, leader_race = first.trial, first.search_value, race_summary(first)
        trial, value, race = winner.trial, winner.search_value, race_summary(winner)
    elif best and best.value is not None:
        leader, leader_value = trial, value = best.number, best.value
    else:
        return None
    test, pruned_at = _test(data, study.objective), _pruned_at(data, leader)
    found = Optimism(
        objective=study.objective,
        trial=trial,
        trials=len(best_first(data.raced.rows, study.direction)),
        search_value=value,
        race=race,
        test=test,
        leader=leader,
        leader_search_value=leader_value,
        leader_race=leader_race,
        leader_pruned_at=pruned_at,
        leader_drop=leader_race.mean - leader_value if leader_race and pruned_at is None else None,
        validation_minus_test=race.mean - test.mean if race and test else None,
        sentence="",
    )
    return replace(found, sentence=f"{_leader_words(found)} {_winner_words(found)}".strip())


def _leader_words(found: Optimism) -> str:
    objective, race = found.objective, found.leader_race
    led = (
        f"Of {counted(found.trials, 'trial')} with a value, #{found.leader} led the search with "
        f"{measured(found.leader_search_value, objective)} {objective_of(objective).label}"
    )
    led += _pruned_words(found.leader_pruned_at)
    if race is None:
        return f"{led}."
    mean, seeds = measured(race.mean, objective), counted(race.n, "fresh seed")
    if found.leader_drop is None:
        return f"{led}; trained to the end on {seeds}, it has {mean} on average."
    return f"{led}; on {seeds} it has {mean} on average ({difference(found.leader_drop, objective)})."


def _pruned_at(data: StudyData, trial: int) -> int | None:
    """Return the epoch at which a trial was pruned, or None."""
    return next((row.epochs for row in data.overview.rows if row.number == trial and row.state == PRUNED), None)


def _pruned_words(epoch: int | None) -> str:
    return "" if epoch is None else f" (pruned at epoch {epoch})"


def _winner_words(found: Optimism) -> str:
    objective, race, test = found.objective, found.race, found.test
    parts = []
    if race:
        seeds = counted(race.n, "seed")
        parts.append(f"{measured(race.mean, objective)} on validation over the {seeds} of the race")
    if test:
        parts.append(f"{measured(test.mean, objective)} on the test images (n = {test.n})")
    if not parts:
        return ""
    gap = found.validation_minus_test
    apart = "" if gap is None else f": validation minus test is {difference(gap, objective)}"
    return f"The winner, #{found.trial}, has {listed(parts)}{apart}."


def _test(data: StudyData, objective: str) -> Summary | None:
    held_out = [r.chosen for r in data.of(TUNED) if r.chosen and not overlaps_training(r)]
    found = [chosen.measured(objective_of(objective).metric) for chosen in held_out]
    values = [value for value in found if value is not None]  # of an earlier version accuracy and loss alone
    return summarize(values) if values else None


def race_summary(candidate: Candidate) -> Summary | None:
    """A candidate's values over the seeds where it did not diverge; None where it did on every one."""
    values = [value for value in candidate.values if value is not None]
    return summarize(values) if values else None


def overtaken(race: Race) -> list[Candidate]:
    """The candidates that stood before the winner in the search."""
    trials = [candidate.trial for candidate in race.candidates]
    return race.candidates[: trials.index(race.winner)] if race.winner in trials else []


def race_sentence(data: StudyData) -> str:
    """Return a sentence on the winner of the race over the seeds and those overtaken, or that there was no race."""
    race, winner = data.race, data.winner
    if data.overview.searches:
        return "Each search of an arm had a race of its own."
    if race is None or winner is None:
        return "There was no race: the best trial of the search was not tried on other seeds."
    before = f"the first {counted(len(data.raced.rows), 'trial')} of " if data.went_on else ""
    if not race.seeds:
        why = "the budget has no training for one"
        return f"There was no race: {why}, and trial #{winner.trial} led {before}the search."
    over = f"over {counted(len(race.seeds), 'seed')}"
    if len(race.candidates) == 1:
        return f"Trial #{winner.trial} ran alone {over}: {_told(winner, data)}."
    field = "; ".join(f"#{candidate.trial} {_told(candidate, data)}" for candidate in race.candidates)
    losers = [f"#{candidate.trial}" for candidate in overtaken(race)]
    if not losers:
        return f"Trial #{winner.trial} led {before}the search and stayed ahead {over}: {field}."
    return f"Trial #{winner.trial} overtook {listed(losers)}, better in the search but not {over}: {field}."


def _told(candidate: Candidate, data: StudyData) -> str:
    objective = data.overview.study.objective
    search = f"{measured(candidate.search_value, objective)} in the search"
    search += _pruned_words(_pruned_at(data, candidate.trial))
    summary = race_summary(candidate)
    if summary is None:
        return f"{search}, diverged on every seed"
    diverged = len(candidate.values) - summary.n
    note = f", diverged on {diverged} of {counted(len(candidate.values), 'seed')}" if diverged else ""
    chance = "" if candidate.probability is None else f", best with probability {candidate.probability:.2f}"
    return f"{search}, {measured(summary.mean, objective)} on average in the race{note}{chance}"
