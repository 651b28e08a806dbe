"""Names in study files and command lines, and the shipped networks. Light, as a shell's completion imports it."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hw2tune.study.speed import Speed

SAMPLERS = ("tpe", "random", "qmc", "grid", "cmaes", "gp", "nsga2")  # made by `search.algorithms`
REPLACED = {"guided": "tpe"}  # samplers of earlier versions, and what draws in studies that name them
HALVING = ("halving", "asha", "hyperband")
# Those that stop a trial for its place among others at an epoch. `median` and `percentile` do so after every epoch from
# `min_epochs` on, and have the rungs of the others where one asks for some. The rest judges whole curves.
COMPARING = (*HALVING, "median", "percentile")
PRUNERS = (*COMPARING, "patient", "wilcoxon", "none")
# Functions of the records and of a trial's number: with order = "virtual" the same study draws and stops the same.
REPRODUCIBLE = {
    "sampler": ("tpe", "random", "qmc", "grid"), "pruner": ("halving", "median", "percentile", "none"),
}  # fmt: skip
LEFTOVERS = ("last-checkpoints", "weights", "set-aside", "decoded-images", "scratch")  # found by `records.leftovers`
RACE = 6  # finalists of a race for the winner, unless stated otherwise
RACE_EACH = 2  # trainings of a finalist, on average, at most
# One training in so many of a budget is for the race, if that is enough of them; see benchmarks/turning.py.
RACE_PART, RACE_LEAST = 6, 4


def shipped_studies() -> dict[str, Path]:
    """Return the study files that hw2tune ships, by name; none in a cluster's job, which gets the package alone."""
    package = Path(str(resources.files("hw2tune")))
    # In a wheel they are inside the package, in a checkout next to it: one folder, `studies/`, in the sources.
    places = [place for place in (package / "shipped_studies", package.parent / "studies") if place.is_dir()]
    return {
        path.stem: path for place in places[:1] for path in sorted(place.glob("*.toml"), key=lambda path: path.stem)
    }


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A network that hw2tune ships."""

    name: str  # in study files
    factory: str  # the place of its code
    input_shape: tuple[int, int, int]  # height, width, channels of its images
    parameters: int  # trained numbers
    # Of one core of an idle Xeon, at the published batch size (torch 2.15, 2026-11-23), where nothing was measured.
    nominal: Speed
    classes: int = 10


MODELS = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="mnist_cnn", factory="hw2tune.networks:MnistCnn", input_shape=(28, 28, 1), parameters=21_840,
            nominal=Speed(step_seconds=0.0, image_seconds=1 / 12_500, evaluation_seconds=1 / 31_250),
        ),
        ModelSpec(
            name="cifar10_cnn", factory="hw2tune.networks:Cifar10Cnn", input_shape=(32, 32, 3), parameters=91_270,
            nominal=Speed(step_seconds=0.0, image_seconds=1 / 6_400, evaluation_seconds=1 / 16_000),
        ),
    )
}  # fmt: skip
