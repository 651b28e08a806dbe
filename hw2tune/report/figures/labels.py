"""Text that several captions and axes share."""

from __future__ import annotations

from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import objective_of
from hw2tune.study.schema import Study
from hw2tune.text.numbers import listed

LOSSES = {
    "double_softmax": "cross-entropy of softmax outputs (as published; minimum 1.4612)",
    "cross_entropy": "cross-entropy on logits",
}
DOUBLE_SOFTMAX_MINIMUM = 1.4612  # nats: -log(e / (e + 9)), with 10 classes
MOST_LETTERS = 11  # of a class name in a figure


def whole_percent(fraction: float) -> str:
    """A fraction in percent, without decimals that no one reads in a picture."""
    return f"{100 * fraction:.0f} %"


def short(name: str) -> str:
    """A class name that fits under an image."""
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def parameter(name: str) -> str:
    """A hyperparameter's name as an axis shows it."""
    return name.replace("_", " ")


def class_names(data: StudyData) -> list[str]:
    """The classes in the order of their labels; none where no replicate was trained."""
    return list(data.dataset.classes) if data.dataset else []


def objective_axis(study: Study) -> tuple[str, float]:
    """The label of an axis that shows the objective, and the factor that brings values to its unit."""
    objective = objective_of(study.objective)
    return objective.axis, objective.scale


def seeds_sentence(seeds_by_variant: dict[str, list[int]]) -> str:
    """Which seeds stand behind the variants, with n."""
    distinct = {tuple(seeds) for seeds in seeds_by_variant.values()}
    if len(distinct) == 1:
        seeds = distinct.pop()
        return f"n = {len(seeds)} per variant ({'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)})."
    return f"n: {', '.join(f'{variant} {len(seeds)}' for variant, seeds in seeds_by_variant.items())}."
