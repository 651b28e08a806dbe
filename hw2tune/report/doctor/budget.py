"""The budget of a search: its tuning curve, and findings on a budget that is too small."""

from __future__ import annotations

from collections.abc import Iterator

from hw2tune.inference.evidence import default_worth
from hw2tune.inference.tuning_curves import Array, expected_best, finite
from hw2tune.records.trials.states import RANKED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.zones import drawn
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import sign_of
from hw2tune.text.numbers import counted, difference


def tried_values(data: StudyData) -> Array:
    """Return the values (N,) of the trials that the sampler drew, larger being better; failed ones are the worst."""
    sign = sign_of(data.overview.study.direction)
    rows = drawn(data.overview)
    return finite([sign * row.value if row.state in RANKED and row.value is not None else None for row in rows])


def small_budget(data: StudyData) -> Iterator[Finding]:
    """Yield the findings on a finished search that had too few trials, unless it has tried its whole space."""
    overview, study = data.overview, data.overview.study
    values = tried_values(data)
    if not overview.is_complete or study.configurations is not None:
        return
    option, number = ("trials", study.trials) if study.budget is None else ("budget", study.budget)
    more = f"Go on with the same study: `--{option}` with a number above {number}."
    searched = sum(one.values is None or len(one.values) > 1 for one in study.space.values())  # others are fixed
    needed = limit.TRIALS_PER_HYPERPARAMETER * searched
    if len(values) < needed:
        yield Finding(
            check="budget",
            finding=f"The search had fewer than {limit.TRIALS_PER_HYPERPARAMETER} trials per hyperparameter.",
            evidence=f"{counted(len(values), 'drawn trial')} in {counted(searched, 'dimension')}.",
            remedy=more,
        )
    images = data.dataset.sizes.get("validation", 0) if data.dataset else 0
    if len(values) < limit.FEWEST_TRIALS or not images or not study.objective_spec.is_share:
        return
    half, worth = len(values) // 2, default_worth(images)
    gain = expected_best(values, len(values)) - expected_best(values, half)
    if gain > worth:
        yield Finding(
            check="budget",
            finding="The best value was still rising when the search ended.",
            evidence=(
                f"The best of {len(values)} trials is {difference(gain, study.objective)} above the expected best of "
                f"{half} of them; {difference(worth, study.objective).lstrip('+')} would matter."
            ),
            remedy=more,
        )
