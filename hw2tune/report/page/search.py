"""The search: its trials in text and numbers, and the race of the best of them."""

from __future__ import annotations

from collections import Counter

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import RANKED
from hw2tune.report.page.blocks import Block, Prose, Row, Table
from hw2tune.report.page.claims import chosen_on_these_seeds
from hw2tune.report.page.figures import figure_blocks
from hw2tune.report.results import StudyResults
from hw2tune.study.objectives import objective_of
from hw2tune.text.numbers import DASH, configuration, counted, duration, listed, objective_value

ADAPTIVE = (
    "the leader and its likeliest rival run on, no seed is one of search or claims, and the best posterior mean of "
    "search and race"
)
BEST_TRIALS = 10  # rows of the page's table; the CSV file holds every trial


def search_blocks(results: StudyResults) -> list[Block]:
    """How many trials, the race of the best, and the figures of the search."""
    overview = results.data.overview
    study = overview.study
    states = Counter(row.state for row in overview.rows)
    outcome = listed([f"{number} {state}" for state, number in states.items()])
    finished = f"{len(overview.finished)} of {counted(study.trials, 'trial')} finished"
    if study.budget is not None:
        finished = f"{counted(len(overview.finished), 'trial')} on {overview.done} of {study.budget_epochs} epochs"
    text = (
        f"The search {study.direction}d {study.objective_spec.label} with the sampler {study.sampler.name} and the "
        f"pruner {study.pruner.name}: {finished} ({outcome})."
    )
    chosen = [results.race_sentence, *([results.optimism.sentence] if results.optimism else [])]
    return [
        Prose(name="search-text", paragraphs=[text, " ".join(chosen)]),
        *_race(results),
        _trials(results),
        *figure_blocks("search")(results),
    ]


def _race(results: StudyResults) -> list[Block]:
    race, table = results.data.race, results.tables["race"]
    if race is None or table.empty:
        return []
    params = {candidate.trial: candidate.params for candidate in race.candidates}
    chances = all(candidate.probability is not None for candidate in race.candidates)
    rows = [
        Row(
            faded=not row["winner"],
            cells=[
                f"#{row['trial']}",
                objective_value(row["search_value"], race.objective),
                *(objective_value(row[f"seed_{seed}"], race.objective) for seed in race.seeds),
                objective_value(row["race_mean"], race.objective),
                *([f"{row['probability']:.2f}"] if chances else []),
                "winner" if row["winner"] else "overtaken" if row["overtaken"] else "",
                configuration(params[row["trial"]]),
            ],
        )
        for row in table.to_dict("records")
    ]
    seeds = [f"Seed {seed}" for seed in race.seeds]
    added = ["P(best)"] if chances else []
    return [
        Table(
            name="race",
            title="The race",
            caption=(
                f"The best trials of the search again, on {counted(len(seeds), 'seed')}, by "
                f"{objective_of(race.objective).label} alone; {ADAPTIVE if chances else 'the best mean'} is the tuned "
                "variant."
                f"{chosen_on_these_seeds(results)}"
            ),
            columns=["Trial", "In the search", *seeds, "Mean", *added, "Outcome", "Configuration"],
            numeric=frozenset({"In the search", *seeds, "Mean", *added}),
            rows=rows,
            file=results.file("tables", "race.csv"),
        )
    ]


def _trials(results: StudyResults) -> Table:
    overview = results.data.overview
    objective = overview.study.objective
    ranked = best_first(overview.rows, overview.study.direction)
    shown = {row.number: row for row in ranked[:BEST_TRIALS]}
    shown |= {row.number: row for row in overview.rows if row.label or row.state not in RANKED}
    return Table(
        name="trials",
        title="Trials",
        caption=f"The best {min(BEST_TRIALS, len(ranked))}, the references, and those that failed.",
        columns=["Trial", objective_of(objective).label.capitalize(), "Best epoch", "State", "Time", "Configuration"],
        numeric=frozenset({objective_of(objective).label.capitalize(), "Best epoch", "Time"}),
        rows=[_trial(row, objective) for row in shown.values()],
        file=results.file("tables", "trials.csv"),
    )


def _trial(row: TrialRow, objective: str) -> Row:
    return Row(
        faded=row.state not in RANKED,
        cells=[
            f"#{row.number} {row.label}".strip(),
            objective_value(row.value, objective),
            f"{row.best_epoch or DASH} of {row.epochs}",
            row.reason or row.state_text,
            duration(row.seconds),
            configuration(row.params),
        ],
    )
