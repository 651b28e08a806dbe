"""The opening of a page: the claims, what they rest on, and the records that could not be used."""

from __future__ import annotations

from collections.abc import Sequence

from hw2tune.inference.verdicts import BETTER, THE_SAME, WORSE
from hw2tune.records.dataset import short
from hw2tune.records.overview import Overview
from hw2tune.records.trials.rows import best_first
from hw2tune.report.claims import ClaimResult
from hw2tune.report.configurations import further_splits
from hw2tune.report.history import history, restated
from hw2tune.report.page.blocks import Block, Facts, Prose
from hw2tune.report.page.sections import figure_blocks
from hw2tune.report.results import StudyResults
from hw2tune.study.arms import search_seeds
from hw2tune.text.numbers import counted, duration, listed, objective_value, ranges, sentence

MOST_NAMED = 4  # claims of which question and answer name every pair


def opening_blocks(results: StudyResults) -> list[Block]:
    """Return the first screen: question and answer, the claims as a figure, what they rest on, and as sentences."""
    figure = figure_blocks("claims", results) if results.claims else []
    sentences = [one for one in [claims_prose(results)] if one.paragraphs]
    return [answer_prose(results), *figure, basis_facts(results), *sentences, *damaged_prose(results)]


def answer_prose(results: StudyResults) -> Prose:
    """Return the question of the study over its answer in one sentence."""
    answer = _answer(results.claims) if results.data.replicates else _no_replicates(results)
    return Prose(name="answer", note=_question(results), paragraphs=[answer], lead=True, caveat=results.caveat)


def _question(results: StudyResults) -> str:
    pairs = [f"{claim.variant} or {claim.against}" for claim in results.claims]
    about = f"{results.data.overview.study.model} on {results.data.label}"
    if not pairs:
        return f"Which configuration is best for {about}?"
    if len(pairs) > MOST_NAMED:
        return f"Which of {len(pairs)} pairs of configurations differ, and how, for {about}?"
    return f"Which is better for {about}: {'; '.join(pairs)}?"


def _answer(claims: Sequence[ClaimResult]) -> str:
    """Return a sentence in which each pair has its verdict: the decided ones by themselves, the others together."""
    decided, others = [], dict[str, list[str]]()
    for claim in claims:
        words = claim.words
        if claim.verdict in (BETTER, WORSE):
            than = words.replace(claim.verdict, f"{claim.verdict} than {claim.against}", 1)
            decided.append(f"{claim.variant} is {than}")
        elif claim.verdict == THE_SAME:
            decided.append(f"{claim.variant} and {claim.against} are {words}")
        else:
            others.setdefault(words, []).append(claim.pair)
    few = len(claims) <= MOST_NAMED
    rest = [f"{word}: {listed(pairs) if few else counted(len(pairs), 'claim')}" for word, pairs in others.items()]
    return sentence("; ".join([*decided, *rest])) + "."


def basis_facts(results: StudyResults) -> Facts:
    """Return what the claims rest on: images, split, network, budget, seeds, compute."""
    data, study = results.data, results.data.overview.study
    sizes = [f"{size:,} {split}" for split, size in data.dataset.sizes.items()] if data.dataset else []
    split = f"seed {study.split_seed}" + (f", checksum `{short(data.dataset.split_checksum)}`" if data.dataset else "")
    split += further_splits(data)
    rows, seeds = data.raced.every_row, sorted({replicate.seed for replicate in data.replicates})
    chosen = "" if study.objective == "validation_accuracy" else f", chosen and tested by {study.objective_spec.label}"
    spent = sum(row.seconds for row in rows) + sum(replicate.seconds for replicate in data.replicates)
    race = " without the races" if data.overview.searches else " without the race" if data.race else ""
    last = data.environment[-1] if data.environment else {}
    machine = [last.get("processor"), counted(last["cores"], "core") if last.get("cores") else None]
    made = [f"hw2tune {last.get('versions', {}).get('hw2tune')}" if last.get("versions") else None]
    made += [f"commit `{last['commit']}`" if last.get("commit") else None, str(last.get("started", ""))[:10]]
    searched = "search" if study.searches == 1 else "searches"
    network = f"{study.model}, {study.loss.replace('_', ' ')} loss, {counted(study.max_epochs, 'epoch')}{chosen}"
    facts = [
        ("data", ": ".join(filter(None, [data.label, ", ".join(sizes)]))),
        ("split", split),
        ("network", network),
        ("budget", f"{_trials(data.raced)}, {counted(sum(r.epochs for r in rows), 'epoch')}"),
        ("seeds", f"{searched} {search_seeds(study)}; claims {ranges(seeds) or 'none yet'}"),
        ("compute", ", ".join([f"{duration(spent)} of training{race}", *filter(None, machine)])),
        ("made with", ", ".join(filter(None, made))),
    ]
    return Facts(name="basis", title="What this rests on", level=2, facts=[fact for fact in facts if fact[1]])


def _trials(overview: Overview) -> str:
    """Return `12 trials`, `84 trials in 2 arms of 7 searches`."""
    trials = counted(len(overview.every_finished), "trial")
    if not overview.searches:
        return trials
    each = "" if overview.study.searches == 1 else f" of {overview.compared} searches"
    return f"{trials} in {counted(len(overview.study.arms), 'arm')}{each}"


def claims_prose(results: StudyResults) -> Prose:
    """Return the claims as sentences, with the ones that were added later."""
    claims = [claim.sentence for claim in results.claims] if results.data.replicates else []
    paragraphs = [*claims, *history(results.data), *filter(None, [restated(results.earlier)])]
    return Prose(name="claims-text", paragraphs=paragraphs)


def _no_replicates(results: StudyResults) -> str:
    overview = results.data.overview
    ended = counted(len(overview.every_finished), "trial")
    best = next(iter(best_first(overview.every_row, overview.study.direction)), None)
    if best is None:
        return f"Nothing to claim: of {ended}, none has a value. The table of trials says why each failed."
    value = objective_value(best.value, overview.study.objective)
    return (
        f"Nothing to claim yet: the best of {ended} reached {value} {overview.study.objective_spec.label}, in one run. "
        f"`hw2tune summarize {results.data.called}` trains the replicates that a claim rests on."
    )


def damaged_prose(results: StudyResults) -> list[Prose]:
    """Return the notes on records that are there and could not be used: the claims rest on the others."""
    damaged = results.data.damaged
    return [Prose(name="damaged", paragraphs=damaged)] if damaged else []
