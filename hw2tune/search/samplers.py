"""What chooses the next configuration: Optuna's samplers by name, or a class of the user's."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import samplers
from optuna.samplers import BaseSampler, RandomSampler

from hw2tune.errors import StudyFileError
from hw2tune.search.guided import GuidedSampler
from hw2tune.search.named import class_at
from hw2tune.study.notation import did_you_mean
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval

OURS = ("seed", "study")  # what a sampler gets from us where it takes it
SEED_STRIDE = 1_000_003  # prime, so that no two pairs of seed and number of trials meet by accident


@dataclass(frozen=True, kw_only=True)
class SamplerSpec:
    """A sampler by its name in study files.

    `cannot` says why it cannot search a study, empty where it can. Where `remembers`, it finds its place in the storage
    by itself and needs the same seed after an interruption.
    """

    name: str
    kind: Callable[..., BaseSampler]
    defaults: dict[str, Any]
    cannot: Callable[[Study], str] = lambda study: ""
    remembers: bool = False


def _cmaes_cannot(study: Study) -> str:
    for name, one in study.space.items():
        if isinstance(one, Choice) and len(one.choices) > 1:
            return f"cmaes draws numbers alone, and space.{name} has choices; fix it in [training], or take tpe"
        if isinstance(one, Interval) and (one.or_zero or one.when):
            what = "or_zero" if one.or_zero else "a condition"
            return f"cmaes draws every number every time, and space.{name} has {what}; leave it out, or take tpe"
    try:
        import cmaes  # noqa: F401
    except ImportError:
        return "cmaes needs a package that is not here: pip install '.[samplers]' in hw2tune's checkout"
    return ""


def _grid_cannot(study: Study) -> str:
    real = [name for name, one in study.space.items() if one.values is None]
    if real:
        return f"grid goes through all values, and space.{real[0]} is a range of real numbers; list its choices"
    if study.configurations is None:
        return "grid goes through all values, and the space has more than 10,000 configurations; list fewer choices"
    return ""


def _nsga2_cannot(study: Study) -> str:
    return "" if study.second_objective else 'nsga2 is for two objectives; add second_objective = "seconds"'


_ALL = (
    SamplerSpec(name="guided", kind=GuidedSampler, defaults={}),
    SamplerSpec(
        name="tpe", kind=samplers.TPESampler, defaults={"multivariate": True, "group": True, "constant_liar": True}
    ),
    SamplerSpec(name="random", kind=RandomSampler, defaults={}),
    SamplerSpec(name="qmc", kind=samplers.QMCSampler, defaults={"scramble": True}, remembers=True),
    SamplerSpec(name="grid", kind=RandomSampler, defaults={}, cannot=_grid_cannot),  # the recorder keeps the order
    SamplerSpec(name="cmaes", kind=samplers.CmaEsSampler, defaults={}, cannot=_cmaes_cannot),
    SamplerSpec(name="gp", kind=samplers.GPSampler, defaults={}),
    SamplerSpec(name="nsga2", kind=samplers.NSGAIISampler, defaults={"population_size": 10}, cannot=_nsga2_cannot),
)
SAMPLERS = {spec.name: spec for spec in _ALL}


def build_sampler(study: Study, trials_drawn: int) -> BaseSampler:
    """The study's sampler; the trials drawn before are mixed into its seed, or a continuation would replay them.

    Raises StudyFileError.
    """
    spec, arguments = _spec(study), dict(study.sampler.arguments)
    if (why := spec.cannot(study)) != "":
        raise StudyFileError(f"sampler: {why}")
    if study.second_objective and study.sampler.name != "nsga2":
        raise StudyFileError(
            f'second_objective: {study.sampler.name} knows one objective; take sampler = "nsga2", or leave it out'
        )
    takes = inspect.signature(spec.kind).parameters
    if unknown := [name for name in arguments if name not in takes or name in OURS[1:]]:
        raise StudyFileError(f"sampler.arguments.{unknown[0]}: {spec.name} does not take it{_known(unknown[0], takes)}")
    seed = study.seed if spec.remembers else (study.seed + SEED_STRIDE * trials_drawn) % 2**32
    ours = {"seed": seed, "study": study}
    return _made(spec, spec.defaults | {name: ours[name] for name in OURS if name in takes} | arguments)


def _made(spec: SamplerSpec, given: dict[str, Any]) -> BaseSampler:
    with warnings.catch_warnings():
        # Optuna 5 still calls some of these experimental. What it defaults to changes, so it stands here in full.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return spec.kind(**given)
        except Exception as error:  # the user's class, or Optuna's of the user's arguments, may raise anything
            raise StudyFileError(f"sampler.arguments: {spec.name} refuses them: {error}") from None


def _spec(study: Study) -> SamplerSpec:
    name = study.sampler.name
    if name in SAMPLERS:
        return SAMPLERS[name]
    return SamplerSpec(name=name, kind=class_at("sampler", name, SAMPLERS, study.code, BaseSampler), defaults={})


def _known(name: str, takes: Any) -> str:
    return did_you_mean(name, [one for one in takes if one not in OURS])
