"""The sections of a study's page: figures, search, replicates, what it takes to repeat the study; and their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.records.trials.states import COMPLETE, RANKED
from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.page.blocks import Absent, Block, Commands, Facts, Figure, Prose, Row, Section, Table, embedded
from hw2tune.report.page.claims import chosen_on_these_seeds, damaged_prose, opening_prose, variants_blocks
from hw2tune.report.results import StudyResults
from hw2tune.study.objectives import objective_of
from hw2tune.text.numbers import DASH, configuration, counted, duration, listed, missing, objective_value, percent

MARKED = ("examples", "classes")  # sections whose figures are drawn from evaluations; curves are not


def figure_blocks(section: str) -> Callable[[StudyResults], list[Block]]:
    """The figures of one section, with a note where one could not be drawn.

    Before any replicate was trained that would be a note for nearly all: the opening has said it.
    """

    def blocks(results: StudyResults) -> list[Block]:
        if not results.data.replicates and section != "search":
            return []
        return [_figure(results, figure) for figure in results.figures if figure.section == section]

    return blocks


def _figure(results: StudyResults, figure: DrawnFigure | MissingFigure) -> Block:
    if isinstance(figure, MissingFigure):
        return Absent(name=figure.name, title=figure.title, reason=figure.reason)
    return Figure(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        alt=figure.alt,
        image=embedded(figure.png),
        width=figure.width,
        height=figure.height,
        file=results.file("figures", figure.pdf.name),
        caveat=results.caveat if figure.section in MARKED else "",
    )


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


def replicate_blocks(results: StudyResults) -> list[Block]:
    """Every replicate, the ones that did not finish among them."""
    table = results.tables["replicates"]
    if table.empty:
        return []
    rows = [
        Row(
            caveat=results.caveats.get(str(row["variant"]), "") if row["overlaps_training"] is True else "",
            faded=row["state"] != COMPLETE,
            cells=[
                str(row["variant"]),
                str(row["seed"]),
                str(row["reason"] or row["state"]),
                DASH if missing(row["chosen_epoch"]) else f"{int(row['chosen_epoch'])}",
                percent(row["validation_accuracy"]),
                percent(row["test_accuracy"]),
                DASH if missing(row["test_loss"]) else f"{row['test_loss']:.4f}",
                percent(row["last_test_accuracy"]),
                duration(row["seconds"]),
            ],
        )
        for row in table.to_dict("records")
    ]
    return [
        Table(
            name="replicates",
            title="Replicates",
            caption=(
                "Every network that a claim rests on. Equal seeds share first weights and order of images wherever "
                "the shapes allow it."
            ),
            columns=["Variant", "Seed", "State", "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"],
            numeric=frozenset({"Seed", "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"}),
            rows=rows,
            file=results.file("tables", "replicates.csv"),
        )
    ]


def environment_blocks(results: StudyResults) -> list[Block]:
    """Data, settings, machines, commands, seeds and checksums: what it takes to repeat the study."""
    return [
        Facts(name="data", title="Data", facts=_data(results)),
        Facts(name="study", title="Study", facts=_study(results)),
        *machine_blocks(results.data.environment),
    ]


def machine_blocks(runs: Sequence[dict[str, Any]]) -> list[Block]:
    """Machines and commands of the entries in an `environment.json`."""
    commands = list(dict.fromkeys(str(run["command"]) for run in runs if "command" in run))
    return [
        *(
            Facts(name="machine", title=f"Machine of {listed(dates)}", facts=facts)
            for facts, dates in _machines(runs).items()
        ),
        *([Commands(name="commands", title="Commands", lines=commands)] if commands else []),
    ]


def _data(results: StudyResults) -> list[tuple[str, str]]:
    record = results.data.dataset
    if record is None:
        return [("data set", results.data.label)]
    shape = " x ".join(map(str, record.image_shape))
    return [
        (
            "data set",
            f"{record.label} ({record.name}, {len(record.classes)} classes, {shape})",
        ),
        ("images", ", ".join(f"{size:,} {split}" for split, size in record.sizes.items())),
        ("pixel mean", ", ".join(f"{value:.4f}" for value in record.mean)),
        ("pixel deviation", ", ".join(f"{value:.4f}" for value in record.std)),
        ("source", record.source),
        *(("images", note) for note in record.notes),
        ("checksum", f"`{record.checksum}`"),
        ("checksum of the split", f"`{record.split_checksum}`"),
    ]


def _study(results: StudyResults) -> list[tuple[str, str]]:
    study = results.data.overview.study
    seeds = sorted({replicate.seed for replicate in results.data.replicates})
    pruner = study.pruner
    rule = "" if pruner.name == "none" else f", from epoch {pruner.min_epochs}"
    rule += f", reduction factor {pruner.reduction_factor}" if pruner.name in ("halving", "asha", "hyperband") else ""
    return [
        ("model", study.model),
        ("loss", study.loss.replace("_", " ")),
        ("epochs", f"{study.max_epochs} at most"),
        ("objective", study.objective_spec.label),
        ("sampler", study.sampler.name),
        ("pruner", pruner.name + rule),
        ("seed of the search", str(study.seed)),
        ("seed of the split", str(study.split_seed)),
        ("seeds of the replicates", ", ".join(map(str, seeds)) or "none yet"),
    ]


def _machines(runs: Sequence[dict[str, Any]]) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Where the study ran: each environment once, with the days that it ran on."""
    machines: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
        facts = {
            "processor": run.get("processor"),
            "cores": run.get("cores"),
            "memory": f"{run['memory_gib']} GiB" if "memory_gib" in run else None,
            "resources": run.get("resources", {}).get("at"),
            "platform": run.get("platform"),
            "Python": run.get("python"),
            "packages": versions,
            "commit": f"`{run['commit']}`" if run.get("commit") else None,
        }
        shown = tuple((term, str(fact)) for term, fact in facts.items() if fact)
        dates = machines.setdefault(shown, [])
        if (date := str(run.get("started", ""))[:10]) not in dates:
            dates.append(date)
    return machines


# Anchor, title, and the blocks of one study.
SECTIONS: Sequence[tuple[str, str, Callable[[StudyResults], list[Block]]]] = (
    ("variants", "Variants", variants_blocks),
    ("curves", "Learning curves", figure_blocks("curves")),
    ("weights", "Weights and biases", figure_blocks("weights")),
    ("examples", "Right and wrong", figure_blocks("examples")),
    ("features", "Feature maps", figure_blocks("features")),
    ("classes", "Classes", figure_blocks("classes")),
    ("preprocessing", "Preprocessing", figure_blocks("data")),
    ("search", "Search", search_blocks),
    # The study doctor's place: ("doctor", "Study doctor", doctor_blocks). Without blocks it does not show.
    ("replicates", "Replicates", replicate_blocks),
    ("environment", "How to repeat it", environment_blocks),
)


def opening(results: Sequence[StudyResults]) -> Section:
    """What stands first: the claims, and what they rest on."""
    return Section(
        anchor="claims", title="Claims", columns=[[opening_prose(one), *damaged_prose(one)] for one in results]
    )


def sections(results: Sequence[StudyResults]) -> list[Section]:
    """Every section; the page leaves out the empty ones."""
    return [
        Section(anchor=anchor, title=title, columns=[blocks(one) for one in results])
        for anchor, title, blocks in SECTIONS
    ]
