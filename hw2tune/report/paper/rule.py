"""The paragraph of `methods.tex` on the rule of the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hw2tune.records.environment import UNITS
from hw2tune.report.claims import rule_of
from hw2tune.report.paper.latex import tex
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import counted, listed


def verdicts(every: Sequence[StudyResults]) -> Iterator[str]:
    """The rule by which the claims are judged, for studies with a fixed number of seeds, for others, or for both."""
    every = [results for results in every if results.data.replicates]
    for several in (True, False):
        studies = [one for one in every if (rule_of(one.data).fixed is None) is several]
        if not studies:
            continue
        of = f" of {tex(listed([one.data.called for one in studies]))}" if len(studies) < len(every) else ""
        unit, units = (
            " or ".join(dict.fromkeys(words[one.data.family[0]] for one in studies))
            for words in ({name: name for name in UNITS}, UNITS)
        )
        counts = listed([*dict.fromkeys(counted(rule_of(one.data).claims, "claim") for one in studies)])
        if several:
            yield (
                f"The replicates{of} could be looked at after every {unit}. A difference is \\emph{{better}} or "
                r"\emph{worse} if the e-process of the paired t test (right-Haar prior on the standard deviation, "
                rf"standard normal prior on the effect in standard deviations~\cite{{wang2025anytime}}) reaches "
                f"$m/0.05$, $m$ being the number of claims of a study ({counts}), and an interval over crossed {units} "
                "and test images excludes zero: in quadrature, the half width that the e-process does not reject and "
                "the error of the test images times the normal quantile of $1 - 0.05/(4m)$. A verdict reached stays."
            )
        else:
            fixed = listed([*dict.fromkeys(rule_of(one.data).fixed for one in studies)])
            yield (
                f"The number of {units}{of} ({fixed}) was fixed before any was trained. A difference is "
                r"\emph{better} or \emph{worse} if the paired t test rejects at 5\,\%, by Holm's "
                rf"correction~\cite{{holm1979simple}} for the $m$ claims of a study ({counts}), and an interval over "
                f"crossed {units} and test images excludes zero: in quadrature, the half width of the t interval at "
                "level $1 - 0.05/m$ and the error of the test images times the normal quantile of $1 - 0.05/(2m)$."
            )
    if not every:
        return
    yield (
        r"It is \emph{the same} within $w$, the smallest difference that matters, if this interval is inside $\pm w$, "
        r"and \emph{undecided} otherwise."
    )
    if any(claim.evidence and any(claim.evidence.failed) for results in every for claim in results.claims):
        yield "A side that diverged or collapsed on more seeds than the other is not called better."
