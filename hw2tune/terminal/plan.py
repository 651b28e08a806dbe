"""A study in lines of text: the plan before it runs, its trials, its replicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hw2tune.events import ReplicationStarted, StudyStarted
from hw2tune.records.trials.rows import TrialRow
from hw2tune.search.cost import Cost, ReplicatesCost, SeedsCost
from hw2tune.study.arms import sides
from hw2tune.study.schema import Study
from hw2tune.terminal.formats import plain_table, print_json
from hw2tune.text.numbers import configuration_line, counted, duration, objective_value
from hw2tune.text.plain import SCHEMA


def print_plan(plan: StudyStarted, console: Console) -> None:
    """Print space, budget, resources and data set."""
    study, capacity = plan.study, plan.capacity
    sizes = ", ".join(f"{count:,} {name}" for name, count in plan.sizes.items())
    possible = sorted({one.trials_possible for one in sides(study)})  # an arm may leave few configurations
    extent = counted(possible[-1], "trial")
    extent = f"{possible[0]} to {extent}" if len(possible) > 1 else extent
    if study.budget_epochs is not None:
        fewer = possible[-1] * study.least_epochs < study.budget_epochs
        extent = f"{counted(study.budget_epochs, 'epoch')}, in {f'at most {extent}' if fewer else 'trials'}"
    race = f"; {counted(study.race_trainings, 'training')} more for the race" if study.race_trainings else ""
    each_search = "; for each arm" if study.arms else ""
    if study.searches > 1:
        each_search = f"; for each of {study.searches} searches of an arm"
    slots = f" of {counted(study.slots, 'slot')}" if study.slots else ""
    gpus = f" and {capacity.gpus_per_trial:g} GPU" if capacity.gpus_per_trial else ""
    each = f"{capacity.cpus_per_trial:g} CPU{gpus}"
    claims = [(f"{claim.a.variant} against {claim.b.variant}", claim.sentence) for claim in study.claims]
    facts: dict[str, list[str | Text]] = {
        "study": [Text(f"{study.name}: {study.model} on {plan.dataset}, loss {study.loss}", style="bold")],
        "data": [f"{sizes} (test is not read by the search); {plan.dataset_checksum[:19]}"],
        "space": [f"{name}: {distribution}" for name, distribution in study.search_space.distributions.items()],
        "arms": [
            ", ".join([f"{arm}:", *(f"{name} {one}" for name, one in entries.items())]).replace(":,", ":", 1)
            for arm, entries in study.arms.items()
        ],
        "fixed": [configuration_line(study.fixed)] if study.fixed else [],
        "claims": [": ".join(filter(None, claim)) for claim in claims],
        "budget": [
            f"{extent} of at most {counted(study.max_epochs, 'epoch')}; sampler {study.sampler.name}, "
            f"pruner {study.pruner.name}, seed {study.seed}{race}{each_search}"
            + (f"; in virtual order{slots}" if study.order == "virtual" else "")
        ],
        "resources": [f"{counted(capacity.concurrency, 'trial')} at once, {each} each ({capacity.text})"],
        "folder": [plan.folder],
        "resumed": [resumed_line(plan)] if plan.finished or plan.resumed else [],
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, lines in facts.items():
        for number, line in enumerate(lines):
            grid.add_row("" if number else name, line)
    console.print(grid)


def resumed_line(plan: StudyStarted) -> str:
    """`31 finished, 2 continue at epochs 4 and 7, 17 to go`."""
    parts = [f"{len(plan.finished)} finished"]
    if plan.resumed:
        epochs = " and ".join(str(epoch) for epoch in plan.resumed.values())
        parts.append(f"{len(plan.resumed)} continued at epoch{'s' * (len(plan.resumed) > 1)} {epochs}")
    budget = plan.study.budget_epochs
    parts.append(f"{plan.left} to go" if budget is None else f"{counted(max(0, budget - plan.epochs), 'epoch')} to go")
    return ", ".join(parts)


def replication_line(plan: ReplicationStarted) -> str:
    """The trainings before a report, and those that were there."""
    there = f", {plan.cached} {'is' if plan.cached == 1 else 'are'} there already" if plan.cached else ""
    what = f"{counted(plan.total - plan.done, 'training')} of {counted(plan.study.max_epochs, 'epoch')}{there}"
    claims = f"{plan.claims}; " if plan.claims else ""
    race = f"race of {counted(plan.race, 'trial')}, at most " if plan.race else ""
    return f"{plan.study.name}: {claims}{race}{what}; {plan.capacity.concurrency} at once ({plan.capacity.text})"


def value_of(value: float | None, objective: str) -> str:
    """An accuracy in percent, a loss as it is, a hyphen for None."""
    return objective_value(value, objective, "-")


def trial_name(number: int, label: str) -> str:
    """`#7`, with the name of a reference."""
    return f"#{number} {label}".strip()


def finished_line(row: TrialRow, objective: str) -> str:
    """One finished trial on one line."""
    reason = f" ({row.reason})" if row.reason else ""
    at = f" at epoch {row.best_epoch} of {row.epochs}" if row.best_epoch else ""
    return (
        f"{trial_name(row.number, row.label)}: {row.state_text}{reason}, {value_of(row.value, objective)}{at}, "
        f"{duration(row.seconds)}, {configuration_line(row.params)}"
    )


def print_check(plan: StudyStarted, cost: Cost, notes: Sequence[str], console: Console) -> None:
    """Print the plan, what it will cost, and what else should be known."""
    print_plan(plan, console)
    images = sum(plan.sizes[split] for split in ("train", "validation"))
    epoch = duration(cost.epoch_seconds) if cost.epoch_seconds >= 10 else f"{cost.epoch_seconds:.2g} s"
    console.print(
        f"cost  about {duration(cost.pruned_seconds)} if the pruner stops trials as planned, "
        f"{duration(cost.full_seconds)} if it stops none",
        f"      (an epoch of {images:,} images in {epoch}, {cost.source}; Ray's start not counted)",
        sep="\n",
        soft_wrap=True,
    )
    print_replicates_cost(plan, cost, console)
    for note in notes:
        console.print(f"note  {note}", soft_wrap=True)
    console.print("all checks passed; nothing was trained")


def print_replicates_costs(plans: Sequence[tuple[StudyStarted, Cost]], console: Console, *, json: bool) -> None:
    """Print the costs of the replicates of several studies."""
    if json:
        studies = [{"name": plan.study.name, **asdict(cost.replicates)} for plan, cost in plans if cost.replicates]
        print_json({"schema": SCHEMA, "studies": studies})
        return
    for plan, cost in plans:
        print_replicates_cost(plan, cost, console)


def print_replicates_cost(plan: StudyStarted, cost: Cost, console: Console) -> None:
    """Print the cost of replicates on several numbers of seeds, and the smallest difference that each sees."""
    costs, study = cost.replicates, plan.study
    if costs is None:
        return
    at_least = "at least " if costs.at_least and costs.source else ""
    rows = [[str(one.seeds), *_priced(one), at_least + _seen(one.smallest, study)] for one in costs.each]
    units = f", {costs.units}" if costs.units else ""
    race = "" if study.race_trainings == 0 else ", with the race before them"
    console.print(f"replicates of {study.name}{units}{race}, as far as they are missing:")
    console.print(plain_table(("seeds", "trainings", "epochs", "about", "sees"), rows))
    console.print(f"sees: {_meaning(costs, study)}", soft_wrap=True)
    if (one := costs.finalists) is not None:
        trainings, epochs, about = _priced(one)
        text = f"at most {trainings} trainings more, {epochs} epochs, about {about}"
        text = text if one.trainings else "no claim is about a change, so there is none to make in each finalist"
        console.print(f"each finalist on {counted(one.seeds, 'seed')}: {text}", soft_wrap=True)


def _priced(one: SeedsCost) -> list[str]:
    return [str(one.trainings), f"{one.epochs:,}", duration(one.seconds)]


def _seen(smallest: float | None, study: Study) -> str:
    """Return the smallest difference as text; no accuracy differs by 100 points."""
    from hw2tune.report.sentences import amount

    if smallest is None:
        return "not known"
    impossible = smallest >= 0.995 and study.objective_spec.is_share
    return "no verdict" if impossible or math.isinf(smallest) else amount(study.objective, smallest)


def _meaning(costs: ReplicatesCost, study: Study) -> str:
    if not study.claims:
        return "nothing, as no claim compares two configurations"
    if not costs.source:
        return "not known before the first replicates of this network and these images"
    one = f"a difference in {study.objective_spec.on_test}{f', as one of {costs.claims} claims' * (costs.claims > 1)}"
    more = f", to which that of {costs.units.split()[1]} is added" if costs.at_least else ""
    return f"{one}, in 80 % of studies; spread as {costs.source}{more}"
