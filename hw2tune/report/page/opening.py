"""The opening of a page: the claims, what they rest on, and the records that could not be used."""

from __future__ import annotations

from hw2tune.report.history import history, restated
from hw2tune.report.page.blocks import Prose
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import counted, objective_value


def opening_prose(results: StudyResults) -> Prose:
    """Return the subject of the study, and the claims as sentences."""
    overview = results.data.overview
    study = overview.study
    chosen = ""  # by what, unless it is what a reader expects
    if study.objective != "validation_accuracy":
        chosen = f"chosen and tested by {study.objective_spec.label}, "
    finished = sorted({results.count(variant)[0] for variant in results.data.variants if results.data.of(variant)})
    n = f"n = {' to '.join(str(one) for one in dict.fromkeys([finished[0], finished[-1]]))}" if finished else ""
    started = [str(run["started"])[:10] for run in results.data.environment if "started" in run]
    about = (
        f"{study.model} on {results.data.label}, {study.loss.replace('_', ' ')} loss, {chosen}"
        f"{counted(study.max_epochs, 'epoch')}; {counted(len(overview.finished), 'trial')}, "
        f"{', '.join([n or 'no replicates', *started[-1:]])}."
    )
    claims = [claim.sentence for claim in results.claims] if results.data.replicates else [_no_replicates(results)]
    paragraphs = [*claims, *history(results.data), *filter(None, [restated(results.earlier)])]
    return Prose(name="claims", note=about, paragraphs=paragraphs, lead=True, caveat=results.caveat)


def _no_replicates(results: StudyResults) -> str:
    overview = results.data.overview
    ended, best = counted(len(overview.finished), "trial"), overview.best
    if best is None:
        return f"Nothing to claim: of {ended}, none has a value. The table of trials says why each failed."
    value = objective_value(best.value, overview.study.objective)
    return (
        f"Nothing to claim yet: the best of {ended} reached {value} {overview.study.objective_spec.label}, in one run. "
        f"`hw2tune summarize {results.data.name}` trains the replicates that a claim rests on."
    )


def damaged_prose(results: StudyResults) -> list[Prose]:
    """Return the notes on records that are there and could not be used: the claims rest on the others."""
    damaged = results.data.damaged
    return [Prose(name="damaged", paragraphs=damaged)] if damaged else []
