"""`methods.tex`: data, search, race, seeds, verdicts and software, each sentence from the records.

What the records do not tell is left out; `checklist.md` names it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources

from hw2tune.data.catalog import DATASETS
from hw2tune.records.trials.states import FAILED_BY_ITSELF
from hw2tune.report.appendix.facts import baselines, selection
from hw2tune.report.appendix.limits import limits
from hw2tune.report.history import history
from hw2tune.report.paper.latex import booktabs, file_stem, signed, tex
from hw2tune.report.paper.rule import verdicts
from hw2tune.report.results import StudyResults
from hw2tune.report.study_data import StudyData
from hw2tune.study.arms import search_seeds
from hw2tune.study.conditions import condition_text
from hw2tune.study.hyperparameters import Value
from hw2tune.study.names import MODELS
from hw2tune.study.objectives import decimals
from hw2tune.study.space import Choice, Distribution
from hw2tune.text.numbers import configuration_words, counted, label_of, listed, scientific, value_words
from hw2tune.text.plain import value_text

ABOUT = """\
% Methods, from the records of the study: \\input{methods} within a section, with booktabs loaded and
% \\bibliography{references} at the end. Change it as you like: it is not written over once it was changed.
"""
UNUSED = "validation_size is not used"  # a note of the images' record
_TPE = r"the tree-structured Parzen estimator~\cite{bergstra2011algorithms}"
_SAMPLERS = {
    "guided": (
        r"the sampler \texttt{guided} of an earlier version, which drew anywhere in the space, near a good "
        r"configuration (the mixture of PriorBand~\cite{mallik2023priorband}, without its weights), or where a "
        rf"Gaussian process on all trials expected the largest improvement; later versions draw by {_TPE} in its place"
    ),
    "tpe": _TPE,
    "random": "independent random draws",
}
_HALVING = r"asynchronous successive halving~\cite{li2020system}"
_SPLITS = {"train": "training"}
_DATASETS = {"mnist": "lecun1998gradient", "mnist-5k": "lecun1998gradient", "cifar10": "krizhevsky2009learning"}


def methods_tex(every: Sequence[StudyResults]) -> str:
    """Return the paragraphs of each study, then those that all share."""
    parts = [ABOUT]
    for results in every:
        of = f" ({tex(results.data.called)})" if len(every) > 1 else ""
        for title, write in _PARAGRAPHS.items():
            if text := " ".join(write(results)):
                parts.append(f"\\paragraph{{{title}{of}.}}\n{text}\n")
        parts.append(_space_table(results.data))
    if rule := " ".join(verdicts(every)):
        parts.append(f"\\paragraph{{Verdicts.}}\n{rule}\n")
    return "\n".join(parts)


def references_bib(*texts: str) -> str:
    """Return the entries of the bibliography that the texts cite."""
    cited = {key for text in texts for keys in re.findall(r"\\cite\{([^}]+)\}", text) for key in keys.split(",")}
    entries = resources.files("hw2tune.report.paper").joinpath("references.bib").read_text(encoding="utf-8")
    return "\n".join(entry for entry in re.split(r"\n(?=@)", entries) if (key := _key(entry)) and key in cited)


def _key(entry: str) -> str:
    found = re.match(r"@\w+\{([^,]+),", entry)
    return found[1] if found else ""


def _data(results: StudyResults) -> Iterator[str]:
    data, record, study = results.data, results.data.dataset, results.data.overview.study
    cite = rf"~\cite{{{_DATASETS[study.dataset]}}}" if study.dataset in _DATASETS else ""
    if record is None:
        yield f"The images are {tex(data.label)}{cite}."
        return
    height, width, channels = record.image_shape
    sizes = listed([f"{size:,} {_SPLITS.get(split, split)}" for split, size in record.sizes.items()])
    yield (
        f"The images are {tex(record.label)}{cite}, of {height} $\\times$ {width} pixels with "
        f"{counted(channels, 'channel')}, in {len(record.classes)} classes: {tex(sizes)} images."
    )
    if study.dataset in DATASETS or (study.validation_size and not any(UNUSED in note for note in record.notes)):
        yield (
            "The validation images were drawn from the training images, each class in proportion, by split seed "
            f"{study.split_seed}."
        )
    if study.train_size:
        yield "The training images are a part of the data set's, drawn in proportion to the classes."
    if study.test_share:
        yield f"A fraction of {study.test_share:g} of the images was kept for the test."
    mean, std = (listed([decimals(value) for value in values]) for values in (record.mean, record.std))
    yield f"Pixels were normalised per channel (mean {mean}, standard deviation {std})."
    if record.caveat:
        yield f"Caveat: {tex(record.caveat)}."


def _training(results: StudyResults) -> Iterator[str]:
    study = results.data.overview.study
    sizes = {MODELS[study.model].parameters} if study.model in MODELS else set(results.data.parameters.values())
    weights = f" ({min(sizes):,} trained parameters)" if len(sizes) == 1 else ""
    yield (
        rf"The network is \texttt{{{tex(study.model)}}}{weights}, trained in PyTorch~\cite{{paszke2019pytorch}} with "
        f"{_LOSSES[study.loss]} for at most {counted(study.max_epochs, 'epoch')}."
    )
    if study.fixed:
        fixed = listed([value_words(name, value) for name, value in study.fixed.items()])
        yield f"Fixed for every training: {tex(fixed)}."
    yield f"The epoch of each training was chosen by {tex(study.objective_spec.label)}."


_LOSSES = {
    "cross_entropy": "the cross-entropy",
    "double_softmax": "a cross-entropy of softmax outputs, which applies a second softmax,",
}


def _search(results: StudyResults) -> Iterator[str]:
    overview = results.data.overview
    rows, study = results.data.raced.every_row, overview.study
    sampler = _SAMPLERS.get(study.sampler.name, rf"its sampler \texttt{{{tex(study.sampler.name)}}}")
    arguments = ", ".join(f"{name} = {value}" for name, value in study.sampler.arguments.items())
    yield (
        rf"Configurations were chosen in Optuna~\cite{{akiba2019optuna}} by {sampler}"
        f"{f' ({tex(arguments)})' if arguments else ''}, with seed {search_seeds(study)}, to {study.direction} "
        rf"{tex(study.objective_spec.label)}, and ran in Ray Tune~\cite{{liaw2018tune}}."
    )
    if study.sampler.name == "tpe" and any(row.state in FAILED_BY_ITSELF for row in rows):
        yield (
            "A draw was kept with the square of its probability to train without failing, after a logistic regression "
            "on the trials that had ended by then, and otherwise repeated."
        )
    states = listed([f"{n} {state}" for state, n in Counter(row.state for row in rows).items()])
    extent = f"On a budget of {counted(study.budget * study.max_epochs, 'epoch')}" if study.budget else "In all"
    extent += " for each search" if study.arms and study.budget else ""
    race = study.race_trainings if overview.turn else None
    extent += f", {race * study.max_epochs} of them for its race" if race else ""
    if results.data.went_on:  # the budget is that of the search of now
        extent = "Before the races" if study.arms else "Before the race"
    epochs = counted(sum(row.epochs for row in rows), "epoch")
    most = ", as many as were possible," if race and overview.out_of_trials else ""
    yield f"{extent}, {counted(len(rows), 'trial')} ({tex(states)}){most} had {epochs}."
    if study.arms:
        yield tex(baselines(results).text)
    if study.references:
        known = [f"{tex(name)} ({_words(study.complete(one))})" for name, one in study.references.items()]
        yield f"The first trials, which were never stopped early, were the references: {listed(known)}."


def _stopping(results: StudyResults) -> Iterator[str]:
    study = results.data.overview.study
    pruner = study.pruner
    if pruner.name == "none":
        yield "Every trial was trained to its last epoch."
        return
    rule = {
        "halving": f"{_HALVING} on the best value so far",
        "asha": _HALVING,
    }.get(pruner.name, rf"Optuna's pruner \texttt{{{tex(pruner.name)}}}")
    factor = pruner.name in ("halving", "asha", "hyperband")
    yield (
        f"Trials were stopped early by {rule}, from epoch {pruner.min_epochs} on"
        f"{f', with reduction factor {pruner.reduction_factor}' if factor else ''}; references were not."
    )
    if pruner.name == "halving" and {"schedule", "warmup"} & {*study.space}:
        yield "Trials whose learning rate still rose were compared with each other alone."
    if pruner.patience:
        yield f"A trial also ended after {counted(pruner.patience, 'epoch')} without a new best value."


def _race(results: StudyResults) -> Iterator[str]:
    race, data = results.data.race, results.data
    if race is None:
        if data.overview.searches:
            yield tex(selection(results).text)
        return
    if not race.seeds:
        yield tex(results.race_sentence)
        return
    trainings = sum(len(candidate.values) for candidate in race.candidates)
    means = all(candidate.probability is not None for candidate in race.candidates)
    by = "posterior mean of search and race" if means else "mean"
    other = "other seeds" if data.overview.study.seed not in race.seeds else _seed_words(race.seeds)
    yield (
        f"The best {counted(len(race.candidates), 'trial')} of the search raced for the tuned configuration: "
        f"{counted(trainings, 'training')} on {other}, compared on validation images only. The best {by} won: "
        f"trial {race.winner}" + (f" ({_words(data.winner.params)})." if data.winner else ".")
    )


def _seeds(results: StudyResults) -> Iterator[str]:
    data = results.data
    if not data.replicates:
        yield f"No replicate of {tex(data.called)} was trained, so nothing was tested."
        return
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in data.variants:
        if seeds_of := tuple(one.seed for one in data.of(name)):
            groups.setdefault(seeds_of, []).append(name)
    for seeds, names in groups.items():
        what = "The variant" if len(names) == 1 else "The variants"
        yield f"{what} {tex(listed(names))} {'was' if len(names) == 1 else 'were'} trained on {_seed_words(seeds)}."
    if data.splits:
        yield (
            f"They were trained on {counted(len(data.splits), 'further split')} of the same images, drawn alike by "
            f"split seeds {listed(data.splits)}, with the same test images; a claim is about the means of these splits."
        )
    used = {seed for each in groups for seed in each}
    searched = {one.study.seed for one in data.overview.searches or (data.overview,)}
    others = searched | {*(data.race.seeds if data.race else ())}
    if not used & others:
        yield "Neither the search nor the race used these seeds."
    yield "Test images were read only then, at the epoch chosen by validation and at the last."


def _seed_words(seeds: Sequence[int]) -> str:
    run = list(range(seeds[0], seeds[0] + len(seeds)))
    shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 and list(seeds) == run else listed(seeds)
    return f"{'seed' if len(seeds) == 1 else f'the {len(seeds)} seeds'} {shown}"


def _software(results: StudyResults) -> Iterator[str]:
    runs = results.data.environment
    versions = dict.fromkeys(tuple(run.get("versions", {}).items()) for run in runs if run.get("versions"))
    shown = [listed([f"{name} {version}" for name, version in each]) for each in versions]
    pythons = listed([*dict.fromkeys(f"Python {run['python']}" for run in runs if run.get("python"))])
    if shown:
        yield f"The study ran on {pythons} with {tex('; later with '.join(shown))}."
    places = [
        ", ".join(str(part) for part in (run.get("processor"), run.get("resources", {}).get("at")) if part)
        for run in runs
    ]
    if known := [*dict.fromkeys(place for place in places if place)]:
        yield f"Resources: {tex('; '.join(known))}."


_PARAGRAPHS: dict[str, Callable[[StudyResults], Iterable[str]]] = {
    "Data": _data,
    "Training": _training,
    "Search": _search,
    "Early stopping": _stopping,
    "Choice of the tuned configuration": _race,
    "Seeds": _seeds,
    "Software": _software,
    "Limits": lambda results: map(tex, [*limits(results), *history(results.data)]),
}


def _words(params: Mapping[str, Value]) -> str:
    """Return a configuration as LaTeX, its numbers as formulas."""
    return re.sub(r"\b[\d.]+e-?\d+\b", lambda number: signed(number[0]), tex(configuration_words(params)))


def _space_table(data: StudyData) -> str:
    study = data.overview.study
    searched = [("", study.space), *((f", arm {arm}", entries) for arm, entries in study.arms.items())]
    rows = [rf"{tex(label_of(name) + of)} & {_range(one)} \\" for of, space in searched for name, one in space.items()]
    columns, caption = (
        r"{@{}l>{\raggedright\arraybackslash}p{0.66\linewidth}@{}}",
        f"Search space of {tex(data.called)}.",
    )
    label = f"tab:space-{file_stem(data.overview.folder.name)}"
    return booktabs(r"Hyperparameter & Values \\", rows, columns, caption=caption, label=label)


def _range(distribution: Distribution) -> str:
    when = tex(condition_text(distribution.when).replace(" when ", ", if ", 1))
    if isinstance(distribution, Choice):
        return tex(", ".join(value_text(value, scientific) for value in distribution.choices)) + when
    low, high = (signed(scientific(value)) for value in (distribution.low, distribution.high))
    parts = [f"{low} to {high}"]
    parts += ["log-uniform"] * distribution.log
    parts += ["whole numbers" if distribution.step == 1 else f"steps of {distribution.step}"] * distribution.integer
    parts += ["or exactly 0"] * distribution.or_zero
    return ", ".join(parts) + when
