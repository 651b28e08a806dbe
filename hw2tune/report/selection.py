"""How the tuned configuration was chosen, in words: the race over seeds, and the luck of the best of N."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hw2tune.records.replicates import TUNED, Candidate, Race
from hw2tune.records.trials import best_first
from hw2tune.report.pairs import overlaps_training
from hw2tune.report.sources import Sources
from hw2tune.report.statistics import Summary, summarize
from hw2tune.report.wording import counted, difference, listed, measured


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """How much of the search's best value was luck. Values of the objective: accuracies as fractions, losses in nats.

    From search to race only the seed differs: what is lost there was luck, the larger the more trials there were.
    From race to test the images differ too.
    """

    objective: str
    trial: int  # the winner
    trials: int  # that have a value
    search_value: float
    race: Summary | None  # validation over the race's seeds
    test: Summary | None  # test over the replicates of `tuned`, at the epoch that validation chose
    sentence: str

    @property
    def search_to_race(self) -> float | None:
        """Race - search; None without a race."""
        return None if self.race is None else self.race.mean - self.search_value

    @property
    def search_to_test(self) -> float | None:
        """Test - search; None without replicates."""
        return None if self.test is None else self.test.mean - self.search_value


def optimism(sources: Sources) -> Optimism | None:
    """The winner's value in the search, over the race's seeds and on test; None where no trial has a value."""
    winner = winning_candidate(sources.race)
    trial, value = (winner.trial, winner.search_value) if winner else _best(sources)
    if value is None:
        return None
    study = sources.overview.study
    race = race_summary(winner) if winner else None
    test = _test(sources, study.objective)
    trials = len(best_first(sources.overview.rows, study.direction))
    words = [f"{measured(value, study.objective)} {study.objective.replace('_', ' ')} in the search"]
    if race:
        words.append(_words(race, value, study.objective, f"over the {counted(race.n, 'seed')} of the race"))
    if test:
        words.append(_words(test, value, study.objective, f"on the test images (n = {test.n})"))
    return Optimism(
        objective=study.objective,
        trial=trial,
        trials=trials,
        search_value=value,
        race=race,
        test=test,
        sentence=f"Trial #{trial}, chosen among {counted(trials, 'trial')} with a value, has {listed(words)}.",
    )


def _words(summary: Summary, value: float, objective: str, where: str) -> str:
    return f"{measured(summary.mean, objective)} ({difference(summary.mean - value, objective)}) {where}"


def _best(sources: Sources) -> tuple[int, float | None]:
    best = sources.overview.best
    return (best.number, best.value) if best else (-1, None)


def _test(sources: Sources, objective: str) -> Summary | None:
    honest = [r.chosen for r in sources.of(TUNED) if r.chosen and not overlaps_training(r)]
    values = [chosen.loss if objective.endswith("loss") else chosen.accuracy for chosen in honest]
    return summarize(values) if values else None


def winning_candidate(race: Race | None) -> Candidate | None:
    """The candidate that became `tuned`."""
    return next((c for c in race.candidates if c.trial == race.winner), None) if race else None


def race_summary(candidate: Candidate) -> Summary | None:
    """A candidate's values over the seeds where it did not diverge; None where it did on every one."""
    values = [value for value in candidate.values if value is not None and np.isfinite(value)]
    return summarize(values) if values else None


def overtaken(race: Race) -> list[Candidate]:
    """The candidates that stood before the winner in the search."""
    trials = [candidate.trial for candidate in race.candidates]
    return race.candidates[: trials.index(race.winner)] if race.winner in trials else []


def race_sentence(sources: Sources) -> str:
    """Who won the race over the seeds and who was overtaken; says so where there was none."""
    race = sources.race
    winner = winning_candidate(race)
    if race is None or winner is None:
        return "There was no race: the best trial of the search was not tried on other seeds."
    over = f"over {counted(len(race.seeds), 'seed')}"
    if len(race.candidates) == 1:
        return f"Trial #{winner.trial} ran alone {over}: {_told(winner, race)}."
    if not overtaken(race):
        return f"Trial #{winner.trial} led the search and stayed ahead {over}: {_field(race)}."
    losers = listed([f"#{candidate.trial}" for candidate in overtaken(race)])
    return f"Trial #{winner.trial} overtook {losers}, better in the search but not {over}: {_field(race)}."


def _field(race: Race) -> str:
    return "; ".join(f"#{candidate.trial} {_told(candidate, race)}" for candidate in race.candidates)


def _told(candidate: Candidate, race: Race) -> str:
    search = f"{measured(candidate.search_value, race.objective)} in the search"
    summary = race_summary(candidate)
    if summary is None:
        return f"{search}, diverged on every seed"
    diverged = len(race.seeds) - summary.n
    note = f", diverged on {diverged} of {counted(len(race.seeds), 'seed')}" if diverged else ""
    return f"{search}, {measured(summary.mean, race.objective)} on average in the race{note}"
