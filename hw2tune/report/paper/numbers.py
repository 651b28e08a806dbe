"""`numbers.tex`: one command for each number of a study that a text may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hw2tune.records.environment import UNITS
from hw2tune.report.claims import ClaimResult
from hw2tune.report.configurations import shared_params
from hw2tune.report.paper.claims_table import numbers_of
from hw2tune.report.paper.latex import Names, comment, signed, tex
from hw2tune.report.results import StudyResults
from hw2tune.study.arms import SEARCH_SEEDS
from hw2tune.study.hyperparameters import Value
from hw2tune.text.numbers import label_of, measured, missing, scientific
from hw2tune.text.plain import value_text

_ABOUT = """\
% Every number of the results as a command, used as `\\quickstartTunedTestAccuracy{}`: with braces behind it, as LaTeX
% drops a space after a command. Accuracies are in percent, differences in points; units are not part of a command.
"""


def numbers_tex(every: Sequence[StudyResults]) -> str:
    """Return the commands of all studies, each with its meaning as a comment."""
    names, studies, lines = Names(), Names(), list[str]()
    for results in every:
        study = studies.unique(results.data.called)
        lines += ["", comment(f"The study {results.data.called}")]
        for words, value, meaning in _numbers(results):
            lines.append(rf"\newcommand{{\{names.unique(study, *words)}}}{{{value}}} {comment(meaning)}")
    return _ABOUT + "\n".join(lines) + "\n"


Number = tuple[Sequence[str], str, str]  # words of its command, value, meaning


def _numbers(results: StudyResults) -> Iterator[Number]:
    yield from _of_the_study(results)
    for row in results.tables["variants"].to_dict("records"):
        yield from _of_a_variant(results, row)
    for claim in results.claims:
        yield from _of_a_claim(claim)


def _of_the_study(results: StudyResults) -> Iterator[Number]:
    overview, dataset, race = results.data.overview, results.data.dataset, results.data.race
    study = overview.study
    raced, then = results.data.raced, " before its race" if results.data.went_on else ""
    yield ["trials"], str(len(raced.every_finished)), f"finished trials of the search{then}"
    yield ["epochs"], str(sum(row.epochs for row in raced.every_row)), f"epochs of all trials{then} together"
    yield ["max", "epochs"], str(study.max_epochs), "epochs of a training at most"
    first = "" if study.searches == 1 else f"first search, the next ones in steps of {SEARCH_SEEDS:,}"
    yield ["search", "seed"], str(study.seed), f"seed of the {first or 'search'}"
    yield ["split", "seed"], str(study.split_seed), "seed of the split"
    seeds = {replicate.seed for replicate in results.data.replicates}
    yield ["seeds"], str(len(seeds)), "seeds on which variants were trained and tested"
    for split, size in (dataset.sizes if dataset else {}).items():
        yield [split, "images"], f"{size:,}".replace(",", "{,}"), f"{split} images"  # no punctuation in a formula
    if dataset:
        yield ["classes"], str(len(dataset.classes)), "classes"
    if race:
        trainings = sum(len(candidate.values) for candidate in race.candidates)
        yield ["finalists"], str(len(race.candidates)), "trials in the race for the winner"
        yield ["race", "trainings"], str(trainings), "trainings of the race"
        yield ["winner"], str(race.winner), "number of the trial that won the race"


def _of_a_variant(results: StudyResults, row: Mapping[Any, Any]) -> Iterator[Number]:
    variant = str(row["variant"])
    about, units = f"{variant}: {{}}, n = {row['n']}".format, UNITS[results.data.family[0]]
    for words, column, meaning in (
        (["test", "accuracy"], "test_accuracy", "mean test accuracy in percent at the epoch chosen by validation"),
        (["test", "accuracy", "low"], "test_low", f"lower end of its 95 % t interval over {units}"),
        (["test", "accuracy", "high"], "test_high", f"upper end of its 95 % t interval over {units}"),
        (["test", "accuracy", "sd"], "test_sd", f"standard deviation of test accuracy over {units}, in points"),
        (["validation", "accuracy"], "validation_accuracy", "mean validation accuracy in percent at the same epoch"),
    ):
        if not missing(row[column]):
            yield [variant, *words], f"{100 * row[column]:.2f}", about(meaning)
    if row["metric"] != "accuracy":  # which is above
        quantity = results.data.overview.study.objective_spec.on_test
        for column, end in (("test_value", ""), ("value_low", "low"), ("value_high", "high")):
            if not missing(row[column]):
                value = measured(row[column], str(row["metric"])).partition(" ")[0]
                meaning = f"{end} end of its 95 % t interval over {units}" if end else f"mean {quantity}"
                yield [variant, quantity, *([end] if end else [])], signed(value), about(meaning)
    yield [variant, "n"], str(row["n"]), f"{variant}: seeds that were trained to the end and tested"
    for name, setting in shared_params(results.data.of(variant)).items():
        yield [variant, name], _value(setting), f"{variant}: {label_of(name)}"


def _of_a_claim(claim: ClaimResult) -> Iterator[Number]:
    pair, shown = [claim.variant, "minus", claim.against], numbers_of(claim)
    name, unit = f"{claim.variant} less {claim.against}", f" ({shown.unit})" if shown.unit else ""
    if shown.difference:
        yield pair, signed(shown.difference), f"{name}: mean difference{unit}"
    if shown.low:
        yield [*pair, "low"], signed(shown.low), f"{name}: lower end of the 95 % interval{unit}"
        yield [*pair, "high"], signed(shown.high), f"{name}: upper end of the 95 % interval{unit}"
    yield [*pair, "verdict"], tex(claim.words), f"{name}: verdict"
    if claim.evidence is None or claim.result is None:
        return
    verdict, worth = claim.result, claim.evidence.worth
    yield [*pair, "n"], str(verdict.n), f"{name}: differences, one for each {claim.evidence.unit}"
    if any(claim.evidence.failed):
        sides = (claim.variant, ""), (claim.against, "against")
        for number, (side, end) in zip(claim.evidence.failed, sides, strict=True):
            yield [*pair, "failed", end], str(number), f"{name}: {UNITS[claim.evidence.unit]} on which {side} failed"
    if reached := verdict.decided_at:
        yield [*pair, "reached"], str(reached), f"{name}: the n at which the verdict was reached"
    if worth is not None:
        yield [*pair, "worth"], _worth(worth, shown.unit), f"{name}: worth{unit}"
    if verdict.e_value is not None:
        yield [*pair, "e", "value"], signed(f"{verdict.e_value:.3g}"), f"{name}: e-value against no difference"
    if verdict.p is not None:
        yield [*pair, "p"], signed(f"{verdict.p:.2g}"), f"{name}: p of the paired t test, corrected by Holm"


def _worth(worth: float, unit: str) -> str:
    size = f"{(100 if unit == 'points' else 1) * worth:.3g}"
    return signed(size) if "e" in size else size


def _value(value: Value) -> str:
    return signed(scientific(value)) if isinstance(value, float) else tex(value_text(value))
