"""The sections of a study's page: figures, search, replicates, what it takes to repeat the study; and their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hw2tune.records.replicates import Race
from hw2tune.records.trials.rows import best_first
from hw2tune.records.trials.states import COMPLETE, RANKED
from hw2tune.report.claims import CAVEAT
from hw2tune.report.configurations import further_splits
from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.page.appendix import checklist_blocks, limits_blocks
from hw2tune.report.page.blocks import Absent, Block, Commands, Facts, Figure, Prose, Row, Table, embedded
from hw2tune.report.page.claims import chosen_on_these_seeds, variants_blocks
from hw2tune.report.page.learned import doctor_blocks, searches_blocks, stopping_blocks
from hw2tune.report.results import StudyResults
from hw2tune.study.arms import search_seeds
from hw2tune.study.objectives import decimals, objective_of
from hw2tune.text.numbers import (
    DASH,
    configuration,
    counted,
    difference,
    duration,
    listed,
    missing,
    objective_value,
    percent,
)

MARKED = ("examples", "classes")  # sections whose figures are drawn from evaluations; curves are not
BEST_TRIALS = 10  # rows of the page's table; the CSV file holds every trial


def figure_blocks(section: str, results: StudyResults) -> list[Block]:
    """The figures of one section, with a note where one could not be drawn.

    Before any replicate was trained that would be a note for nearly all: the opening has said it.
    """
    if not results.data.replicates and section != "search":
        return []
    caveat = results.caveat if section in MARKED else ""
    return [figure_block(one, f"figures/{results.place}", caveat) for one in results.figures if one.section == section]


def figure_block(figure: DrawnFigure | MissingFigure, folder: str, caveat: str) -> Figure | Absent:
    """One figure, or why it is missing. `folder` is that of its files, seen from the page, with its slash."""
    if isinstance(figure, MissingFigure):
        return Absent(name=figure.name, title=figure.title, reason=figure.reason, choice=figure.choice)
    return Figure(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        alt=figure.alt,
        image=embedded(figure.png),
        width=figure.width,
        height=figure.height,
        file=folder + figure.pdf.name,
        caveat=caveat,
        choice=figure.choice,
        spots=figure.spots,
    )


def search_blocks(results: StudyResults) -> list[Block]:
    """Return the number of trials, the race of the best, and the figures of the search."""
    overview = results.data.overview
    study = overview.study
    if overview.searches:
        return searches_blocks(results)
    states = Counter(row.state for row in overview.rows)
    outcome = listed([f"{number} {state}" for state, number in states.items()])
    finished = f"{len(overview.finished)} of {counted(study.trials_possible, 'trial')} finished"
    if study.budget is not None:
        finished = f"{counted(len(overview.finished), 'trial')} on {overview.done} of {study.budget_epochs} epochs"
    text = (
        f"The search {study.direction}d {study.objective_spec.label} with the sampler {study.sampler.name} and the "
        f"pruner {study.pruner.name}: {finished} ({outcome})."
    )
    turned = overview.turn and not results.data.went_on  # then it turned to a race that was not run yet
    text += f" {overview.turn[0].upper()}{overview.turn[1:]}." if turned else ""
    chosen = [results.race_sentence, *([results.optimism.sentence] if results.optimism else [])]
    paragraphs = [text, " ".join(chosen)]
    tables = [*_race(results), _trials(results), *stopping_blocks(results)]
    return [Prose(name="search-text", paragraphs=paragraphs), *tables, *figure_blocks("search", results)]


def _race(results: StudyResults) -> list[Table]:
    race, table = results.data.race, results.tables["race"]
    if race is None or not race.seeds or table.empty:
        return []
    chances = all(candidate.probability is not None for candidate in race.candidates)
    rows = []
    for row, candidate in zip(table.to_dict("records"), race.candidates, strict=True):
        values = [row["search_value"], *(row[f"seed_{seed}"] for seed in race.seeds), row["race_mean"]]
        cells = [f"#{candidate.trial}", *(objective_value(value, race.objective) for value in values)]
        cells += [f"{candidate.probability:.2f}"] if chances else []
        cells += ["winner" if row["winner"] else "overtaken" if row["overtaken"] else ""]
        rows.append(Row(faded=not row["winner"], cells=[*cells, configuration(candidate.params)]))
    numbers = ["In the search", *(f"Seed {seed}" for seed in race.seeds), "Mean", *(["P(best)"] if chances else [])]
    won = (
        "the leader and its likeliest rival run on, no seed is one of search or claims, and the best posterior mean "
        "of search and race"
    )
    return [
        Table(
            name="race",
            title="The race",
            caption=(
                f"The best trials of the search again, on {counted(len(race.seeds), 'seed')}, by "
                f"{objective_of(race.objective).label} alone; {won if chances else 'the best mean'} is the tuned "
                f"variant.{_best_of_what(race) if chances else ''}{chosen_on_these_seeds(results)}"
            ),
            columns=["Trial", *numbers, "Outcome", "Configuration"],
            numeric=numbers,
            rows=rows,
            file=results.file("tables", "race.csv"),
        )
    ]


def _best_of_what(race: Race) -> str:
    """Return the caption's sentence on P(best)."""
    if race.image_error is None:
        return " P(best) is of an earlier version, which printed too large probabilities."
    if race.image_error == 0:
        return " P(best) is for these validation images."
    error = difference(race.image_error, race.objective).lstrip("+")
    return (
        f" P(best) is for new images: these validation images add an error of {error} (standard deviation) per trial."
    )


def _trials(results: StudyResults) -> Table:
    overview = results.data.overview
    objective = overview.study.objective
    label = objective_of(objective).label.capitalize()
    ranked = best_first(overview.rows, overview.study.direction)
    shown = {row.number: row for row in ranked[:BEST_TRIALS]}
    shown |= {row.number: row for row in overview.rows if row.label or row.state not in RANKED}
    rows = []
    for row in shown.values():
        number, epochs = f"#{row.number} {row.label}".strip(), f"{row.best_epoch or DASH} of {row.epochs}"
        cells = [number, objective_value(row.value, objective), epochs, row.reason or row.state_text]
        cells += [duration(row.seconds), configuration(row.params)]
        rows.append(Row(faded=row.state not in RANKED, cells=cells))
    return Table(
        name="trials",
        title="Trials",
        caption=f"The best {min(BEST_TRIALS, len(ranked))}, the references, and those that failed.",
        columns=["Trial", label, "Best epoch", "State", "Time", "Configuration"],
        numeric=[label, "Best epoch", "Time"],
        rows=rows,
        file=results.file("tables", "trials.csv"),
    )


def replicate_blocks(results: StudyResults) -> list[Block]:
    """Every replicate, the ones that did not finish among them."""
    rows, of = [], [name for name in ("split", "seed") if name in results.tables["replicates"]]
    heads = [name.capitalize() for name in of]
    for row in results.tables["replicates"].to_dict("records"):
        epoch, loss = row["chosen_epoch"], row["test_loss"]
        cells = [str(row["variant"]), *(str(row[name]) for name in of), str(row["reason"] or row["state"])]
        cells += [DASH if missing(epoch) else f"{int(epoch)}"]
        cells += [percent(row["validation_accuracy"]), percent(row["test_accuracy"])]
        cells += [DASH if missing(loss) else decimals(loss), percent(row["last_test_accuracy"])]
        caveat = CAVEAT if row["overlaps_training"] is True else ""
        rows.append(Row(caveat=caveat, faded=row["state"] != COMPLETE, cells=[*cells, duration(row["seconds"])]))
    table = Table(
        name="replicates",
        title="Replicates",
        caption=(
            "Every network that a claim rests on. Equal seeds share first weights and order of images wherever the "
            "shapes allow it."
        ),
        columns=["Variant", *heads, "State", "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"],
        numeric=[*heads, "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"],
        rows=rows,
        file=results.file("tables", "replicates.csv"),
    )
    return [table] if rows else []


def environment_blocks(results: StudyResults) -> list[Block]:
    """Data, settings, machines, commands, seeds and checksums: what it takes to repeat the study."""
    study, record = results.data.overview.study, results.data.dataset
    data = [("data set", results.data.label)]
    if record:
        shape = " x ".join(map(str, record.image_shape))
        data = [
            ("data set", f"{record.label} ({record.name}, {len(record.classes)} classes, {shape})"),
            ("images", ", ".join(f"{size:,} {split}" for split, size in record.sizes.items())),
            ("pixel mean", ", ".join(map(decimals, record.mean))),
            ("pixel deviation", ", ".join(map(decimals, record.std))),
            ("source", record.source),
            *(("images", note) for note in record.notes),
            ("checksum", f"`{record.checksum}`"),
            ("checksum of the split", f"`{record.split_checksum}`"),
        ]
    pruner, seeds = study.pruner, sorted({replicate.seed for replicate in results.data.replicates})
    rule = "" if pruner.name == "none" else f", from epoch {pruner.min_epochs}"
    rule += f", reduction factor {pruner.reduction_factor}" if pruner.name in ("halving", "asha", "hyperband") else ""
    facts = [
        ("model", study.model),
        ("loss", study.loss.replace("_", " ")),
        ("epochs", f"{study.max_epochs} at most"),
        ("objective", study.objective_spec.label),
        ("sampler", study.sampler.name),
        ("pruner", pruner.name + rule),
        ("seed of the search", search_seeds(study)),
        ("seed of the split", str(study.split_seed) + further_splits(results.data)),
        ("seeds of the replicates", ", ".join(map(str, seeds)) or "none yet"),
    ]
    about = [Facts(name="data", title="Data", facts=data), Facts(name="study", title="Study", facts=facts)]
    return [*about, *machine_blocks(results.data.environment)]


def machine_blocks(runs: Sequence[dict[str, Any]]) -> list[Block]:
    """Each machine of the entries in an `environment.json` once, with its days; and the commands."""
    machines: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        facts = {
            "processor": run.get("processor"),
            "cores": run.get("cores"),
            "memory": f"{run['memory_gib']} GiB" if "memory_gib" in run else None,
            "resources": run.get("resources", {}).get("at"),
            "platform": run.get("platform"),
            "Python": run.get("python"),
            "packages": ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()),
            "commit": f"`{run['commit']}`" if run.get("commit") else None,
        }
        shown = tuple((term, str(fact)) for term, fact in facts.items() if fact)
        machines.setdefault(shown, []).append(str(run.get("started", ""))[:10])
    commands = list(dict.fromkeys(str(run["command"]) for run in runs if "command" in run))
    return [
        *(
            Facts(name="machine", title=f"Machine of {listed([*dict.fromkeys(days)])}", facts=facts)
            for facts, days in machines.items()
        ),
        *([Commands(name="commands", title="Commands", lines=commands)] if commands else []),
    ]


# Anchor, title, and the blocks of one study.
SECTIONS: Sequence[tuple[str, str, Callable[[StudyResults], list[Block]]]] = (
    ("variants", "Variants", variants_blocks),
    ("curves", "Learning curves", partial(figure_blocks, "curves")),
    ("weights", "Weights and biases", partial(figure_blocks, "weights")),
    ("examples", "Right and wrong", partial(figure_blocks, "examples")),
    ("features", "Feature maps", partial(figure_blocks, "features")),
    ("classes", "Classes", partial(figure_blocks, "classes")),
    ("preprocessing", "Preprocessing", partial(figure_blocks, "data")),
    ("finalists", "The change in each finalist", partial(figure_blocks, "finalists")),
    ("search", "Search", search_blocks),
    ("doctor", "Study doctor", doctor_blocks),
    ("replicates", "Replicates", replicate_blocks),
    ("limits", "Limits", limits_blocks),
    ("environment", "How to repeat it", environment_blocks),
    ("checklists", "Checklists", checklist_blocks),
)
