"""`claims.tex`: the claims of all studies as one table, and their verdicts as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hw2tune.inference.verdicts import BETTER, WORSE
from hw2tune.records.environment import UNITS
from hw2tune.report.claims import ClaimResult
from hw2tune.report.paper.latex import booktabs, comment, signed, tex
from hw2tune.report.results import StudyResults
from hw2tune.report.sentences import failures, interval_words, mean_words
from hw2tune.study.objectives import objective_of
from hw2tune.text.numbers import listed

_ABOUT = comment("The claims, from the records: \\input{claims} with booktabs and tabularx loaded.")
_CAPTION = (
    "Differences on test images, first less second, between replicates of the same seed, with 95 % intervals for other "
    "{repeated} and other test images, corrected for the number of claims of a study; {units}. n counts {counted}. In "
    "bold, verdicts of a difference: the interval excludes zero at this n, or did at an earlier one."
)
EMPTY = "--"


class ClaimNumbers(NamedTuple):
    """A claim's numbers as text, in the unit of its metric, as signs are read; empty for what was not tested."""

    difference: str = ""
    low: str = ""
    high: str = ""
    unit: str = ""


def numbers_of(claim: ClaimResult) -> ClaimNumbers:
    """Return the difference, its interval and their unit."""
    evidence, verdict = claim.evidence, claim.result
    if evidence is None or verdict is None:
        return ClaimNumbers()
    mean, _, unit = mean_words(evidence, verdict).partition(" ")
    low, _, high = interval_words(evidence, verdict).partition(" to ")
    return ClaimNumbers(mean, low, high, unit)


def claims_tex(every: Sequence[StudyResults]) -> str:
    """Return one table with the claims of each study below its name; it may be empty of numbers."""
    mixed = len({claim.evidence.metric for one in every for claim in one.claims if claim.evidence}) > 1
    rows = [row for results in every for row in _rows(results, named=len(every) > 1, mixed=mixed)]
    rows = rows[1:] if len(every) > 1 else rows  # without the space above the first name
    table = booktabs(
        r"Comparison & Difference & 95\,\% interval & $n$ & Verdict \\",
        rows,
        r"{\linewidth}{@{}>{\raggedright\arraybackslash}Xrrr>{\raggedright\arraybackslash}X@{}}",
        caption=tex(_caption(every)).replace(" n ", " $n$ "),
        label="tab:claims",
        wide=True,
    )
    return f"{_ABOUT}\n{table}"


def _rows(results: StudyResults, *, named: bool, mixed: bool) -> Iterator[str]:
    """Yield the rows of a study, below its name if it is `named`; with its metric if the table has `mixed` ones."""
    data = results.data
    if named:
        size = f", {data.dataset.sizes.get('test', 0):,} test images" if data.dataset else ""
        yield r"\addlinespace"
        yield rf"\multicolumn{{5}}{{@{{}}l}}{{\emph{{{tex(data.called)}}} ({tex(data.label)}{size})}} \\"
        if not results.claims:
            yield rf"no claim & {EMPTY} & {EMPTY} & {EMPTY} & {EMPTY} \\"
    for claim in results.claims:
        shown, bold = numbers_of(claim), claim.verdict in (BETTER, WORSE)
        interval = f"{signed(shown.low)} to {signed(shown.high)}" if shown.low else EMPTY
        n = str(claim.result.n) if claim.result else EMPTY
        metric = f" ({tex(objective_of(claim.evidence.metric).on_test)})" if mixed and claim.evidence else ""
        cells = [f"{tex(claim.variant)} $-$ {tex(claim.against)}{metric}"]
        cells += [_bold(signed(shown.difference)) if bold else signed(shown.difference) if claim.result else EMPTY]
        cells += [interval, n, _bold(tex(claim.words)) if bold else tex(claim.words)]
        yield " & ".join(cells) + r" \\"


def _bold(latex: str) -> str:
    return rf"\textbf{{\boldmath {latex}}}"


def _caption(every: Sequence[StudyResults]) -> str:
    there = {one.data.family[0] for one in every}
    means = {"search": "searches of each side", "split": "splits of training and validation images"}
    others = [f"{what}, with the mean over their seeds" for unit, what in means.items() if unit in there]
    counted = ", or ".join(["seeds", *others])
    repeated = " or ".join(UNITS[unit] for unit in UNITS if unit in there)
    failed = [
        f"{f'{one.data.called}: ' if len(every) > 1 else ''}{failures(claim.evidence)}"
        for one in every
        for claim in one.claims
        if claim.evidence and any(claim.evidence.failed)
    ]
    return " ".join([_CAPTION.format(units=_units(every), counted=counted, repeated=repeated), *failed])


def _units(every: Sequence[StudyResults]) -> str:
    shown = {}
    for claim in (claim for results in every for claim in results.claims):
        if claim.evidence is not None:
            label = objective_of(claim.evidence.metric).on_test
            unit = numbers_of(claim).unit
            shown[f"{label} in {unit}" if unit else label] = True
    return listed([*shown]) if shown else "nothing was tested yet"
