"""Facts of a study as sentences, each with the files that it comes from: the answers to the checklists' items."""

from __future__ import annotations

from collections import Counter

from hw2tune.records.environment import UNITS
from hw2tune.report.appendix.data_facts import DATASET, STUDY, Fact
from hw2tune.report.claims import overlaps_training, rule_of
from hw2tune.report.configurations import params_of, trained_configurations
from hw2tune.report.figures import DrawnFigure
from hw2tune.report.history import history
from hw2tune.report.results import StudyResults
from hw2tune.study.arms import search_seeds
from hw2tune.study.objectives import objective_of
from hw2tune.study.schema import TUNED, Study
from hw2tune.text.numbers import configuration_words, counted, duration, label_of, listed, missing, percent, sentence

ENVIRONMENT = "environment.json"
TRIALS, CURRENT = "report/tables/trials.csv", "replicates/current.json"
SEARCHES = "report/tables/searches.csv"  # of a study with arms
VARIANTS, PAIRS, REPLICATES, VARIANCE = (
    f"report/tables/{name}.csv" for name in ("variants", "pairs", "replicates", "variance")
)


def infrastructure(results: StudyResults) -> Fact:
    """The machines of all runs."""
    machines = []
    for run in results.data.environment:
        parts = [run.get("processor"), run.get("cores") and counted(run["cores"], "core")]
        parts += [
            f"{run['memory_gib']} GiB memory" if run.get("memory_gib") else "",
            run.get("resources", {}).get("at"),
        ]
        parts += [run.get("platform"), run.get("python") and f"Python {run['python']}"]
        versions = run.get("versions", {})
        parts += [f"{name} {versions[name]}" for name in ("torch", "ray", "optuna") if name in versions]
        machines.append(", ".join(str(part) for part in parts if part))
    known = [machine for machine in dict.fromkeys(machines) if machine]
    return Fact(f"{'; '.join(known)}.", (ENVIRONMENT,)) if known else Fact()


def runtime(results: StudyResults) -> Fact:
    """Training time of each variant, of the search and of all replicates."""
    rows = results.data.raced.every_row
    parts = [f"{counted(len(rows), 'trial')} of the search trained for {duration(sum(row.seconds for row in rows))}"]
    if replicates := results.data.replicates:
        total = duration(sum(one.seconds for one in replicates))
        parts.append(f"{counted(len(replicates), 'replicate')} for {total}")
    means = [
        f"{row['variant']} {duration(row['seconds'])}"
        for row in results.tables["variants"].to_dict("records")
        if not missing(row["seconds"])
    ]
    each = f" One training takes on average: {listed(means)}." if means else ""
    return Fact(f"{' and '.join(parts)} (the race not counted).{each}", (TRIALS, REPLICATES))


def validation(results: StudyResults) -> Fact:
    """Validation next to test accuracy, by variant."""
    shown = [
        f"{row['variant']} {percent(row['validation_accuracy'])} and {percent(row['test_accuracy'])}"
        for row in results.tables["variants"].to_dict("records")
        if not missing(row["test_accuracy"])
    ]
    return Fact(f"Validation and test accuracy: {'; '.join(shown)}.", (VARIANTS,)) if shown else Fact()


def code(results: StudyResults) -> Fact:
    """Version and commit of hw2tune, and the user's own files."""
    known = [(run.get("versions", {}).get("hw2tune"), run.get("commit")) for run in results.data.environment]
    texts = [f"hw2tune {version}{f', commit {commit}' if commit else ''}" for version, commit in known if version]
    own = results.data.overview.study.code
    files = f" Own files, kept in the study's folder: {listed(sorted(own))}." if own else ""
    source = (ENVIRONMENT, "code/") if own else (ENVIRONMENT,)
    return Fact(f"{listed([*dict.fromkeys(texts)])}.{files}", source) if texts else Fact()


def space(results: StudyResults) -> Fact:
    """The search space, and what the arms change of it."""
    study = results.data.overview.study
    parts = [f"{label_of(name)} {bounds}" for name, bounds in study.space.items()]
    for arm, entries in study.arms.items():
        parts += [f"in the arm {arm}, {label_of(name)} {bounds}" for name, bounds in entries.items()]
    return Fact(f"{'; '.join(parts)}.", (STUDY,))


def configurations(results: StudyResults) -> Fact:
    """Each variant's hyperparameters, or their number if each search found others."""
    shown, several = [], False
    for name in results.data.variants:
        if params := params_of(results.data, name):
            shown.append(f"{name}: {configuration_words(params)}")
        elif found := trained_configurations(results.data, name):
            shown.append(f"{name}: {len(found)} configurations, one of each search")
            several = True
    source = (SEARCHES, VARIANTS, STUDY) if several else (VARIANTS, STUDY)
    return Fact(f"{'; '.join(shown)}.", source) if shown else Fact()


def trials(results: StudyResults) -> Fact:
    """Number of trials, by state."""
    rows = results.data.raced.every_row
    states = listed([f"{number} {state}" for state, number in Counter(row.state for row in rows).items()])
    references = sum(bool(row.label) for row in rows)
    return Fact(f"{counted(len(rows), 'trial')} ({states}), of them {counted(references, 'reference')}.", (TRIALS,))


def method(results: StudyResults) -> Fact:
    """Sampler, pruner and objective."""
    study = results.data.overview.study
    pruned = "without a pruner" if study.pruner.name == "none" else f"pruned by {study.pruner.name}"
    return Fact(
        f"Sampler {study.sampler.name} (seed {search_seeds(study)}), {pruned}, {study.direction}d "
        f"{study.objective_spec.label}{_order(study)}.",
        (STUDY,),
    )


def _order(study: Study) -> str:
    """Return what makes a second run of the study equal; nothing where chance decides what ends first."""
    if study.order == "arrival":
        return ""
    slots = f" of {counted(study.slots, 'slot')}" if study.slots else ""
    return f", decided in the order of a virtual clock{slots}: the same study again makes the same trials"


def selection(results: StudyResults) -> Fact:
    """The choice of the winner."""
    if results.data.overview.searches:
        text = "The winner of each search is chosen by a race of its best trials on fresh seeds, on validation images."
        return Fact(text, (SEARCHES,))
    return Fact(results.race_sentence, (CURRENT,)) if results.data.race else Fact()


def budget(results: StudyResults) -> Fact:
    """The best validation value by number of trials."""
    known = {one.name: one for one in results.figures if isinstance(one, DrawnFigure)}
    drawn = [known[name] for name in ("tuning-curve", "search-history") if name in known]
    return Fact(f"Figure: {drawn[0].title}.", (f"report/figures/{drawn[0].name}.pdf", TRIALS)) if drawn else Fact()


def model(results: StudyResults) -> Fact:
    """Network, input and loss."""
    record, study = results.data.dataset, results.data.overview.study
    shape = f" on images of {' x '.join(map(str, record.image_shape))}" if record else ""
    sizes = sorted(set(results.data.parameters.values()))
    counts = f", {' to '.join(f'{n:,}' for n in dict.fromkeys([sizes[0], sizes[-1]]))} parameters" if sizes else ""
    text = f"{study.model}{shape}{counts}, {study.loss.replace('_', ' ')} loss, {counted(study.max_epochs, 'epoch')}"
    return Fact(f"{text} at most.", (STUDY, DATASET))


def evaluation(results: StudyResults) -> Fact:
    """Reading of the test images."""
    return Fact(
        "Test images are read by replicates only, at the epoch chosen by validation and at the last.", (REPLICATES,)
    )


def baselines(results: StudyResults) -> Fact:
    """The effort behind each side of a claim."""
    study = results.data.overview.study
    if study.arms:
        text = f"Each arm ({listed([*study.arms])}) was searched {counted(study.searches, 'time')}, on the same budget"
        return Fact(f"{text} and seeds.", (STUDY, SEARCHES))
    fixed = [name for name in study.references if name in results.data.variants]
    if TUNED not in results.data.variants or not fixed:
        return Fact()
    text = (
        f"{listed(fixed)} {'is a reference' if len(fixed) == 1 else 'are references'} with fixed values and no search; "
    )
    return Fact(f"{text}tuned is the best of {counted(len(results.data.raced.rows), 'trial')}.", (STUDY, TRIALS))


def separation(results: StudyResults) -> Fact:
    """The use of test images before the end."""
    if any(map(overlaps_training, results.data.replicates)):
        return Fact("Not kept: accuracies were evaluated on training images.", (REPLICATES,))
    return Fact("Training, search, race and choice of the epoch never read a test image.", (STUDY, CURRENT))


def metrics(results: StudyResults) -> Fact:
    """The quantity that chooses and the quantity that is claimed."""
    objective = results.data.overview.study.objective_spec
    claimed = listed(
        [*dict.fromkeys(objective_of(one.evidence.metric).on_test for one in results.claims if one.evidence)]
    )
    claimed = f"; the claims are about {claimed}" if results.data.replicates else ""
    return Fact(f"{sentence(objective.label)} chooses{claimed}.", (STUDY, PAIRS))


def uncertainty(results: StudyResults) -> Fact:
    """Intervals of the claims."""
    compared = [one.result for one in results.claims if one.result and one.result.n > 1]
    if not compared:
        return Fact()
    seeds = listed(sorted({one.n for one in compared}))
    units = UNITS[results.data.family[0]]
    text = (
        f"95 % intervals of differences paired by seed (n = {seeds}): over {units}, and over {units} and test images "
        "(crossed random effects, in quadrature), at a level corrected for the number of claims."
    )
    return Fact(text, (PAIRS, VARIANCE))


def tests(results: StudyResults) -> Fact:
    """Tests of the claims, and their assumptions."""
    if not uncertainty(results).text:
        return Fact()
    rule = rule_of(results.data)
    units = UNITS[results.data.family[0]]
    test = f"an e-process of the paired t test, valid after any number of {units}"
    if rule.fixed:
        test = f"the paired t test at the {rule.fixed} {units} asked for before the first, corrected by Holm"
    text = f"{test}, for {counted(rule.claims, 'claim')}; it takes differences as normal and {units} as independent."
    return Fact(" ".join([sentence(text), *history(results.data)]), (PAIRS, ENVIRONMENT))


def commands(results: StudyResults) -> Fact:
    """The commands that made the study."""
    lines = [*dict.fromkeys(str(run["command"]) for run in results.data.environment if "command" in run)]
    shown = listed([f"`{line}`" for line in lines])
    return Fact(f"{shown}, with the study file.", (ENVIRONMENT, STUDY)) if lines else Fact()
