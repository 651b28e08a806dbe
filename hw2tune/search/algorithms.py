"""Samplers and pruners by their names in study files: ours, Optuna's, or a class that a study names by its path."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import optuna
from optuna import pruners, samplers
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from hw2tune.errors import Hw2tuneError, StudyFileError, UserCodeError
from hw2tune.search.halving import HalvingPruner
from hw2tune.study.notation import did_you_mean
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice
from hw2tune.user_code.files import is_code
from hw2tune.user_code.importer import in_words, is_users, load

T = TypeVar("T")
SEED_STRIDE = 1_000_003  # prime, so that no two pairs of seed and number of trials meet by accident


def _patient(
    *, wrapped_pruner: str = "median", patience: int, min_delta: float = 0.0, n_startup_trials: int, n_warmup_steps: int
) -> BasePruner:
    """Stops a trial that has not improved for `patience` epochs, with `median` only if that would stop it as well."""
    if wrapped_pruner not in ("median", "none"):
        raise ValueError(f'wrapped_pruner must be "median" or "none", but got {wrapped_pruner!r}')
    inner = pruners.MedianPruner(n_startup_trials, n_warmup_steps) if wrapped_pruner == "median" else None
    return pruners.PatientPruner(inner, patience=patience, min_delta=min_delta)


PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "halving": HalvingPruner,
    "asha": pruners.SuccessiveHalvingPruner,
    "hyperband": pruners.HyperbandPruner,
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "patient": _patient,
    "wilcoxon": pruners.WilcoxonPruner,
    "none": pruners.NopPruner,
}
# With the arguments that change between versions of Optuna.
SAMPLERS: dict[str, tuple[Callable[..., BaseSampler], dict[str, Any]]] = {
    "tpe": (samplers.TPESampler, {"multivariate": True, "group": True, "constant_liar": True}),
    "random": (samplers.RandomSampler, {}),
    "qmc": (samplers.QMCSampler, {"scramble": True}),
    "grid": (samplers.RandomSampler, {}),  # the recorder keeps the order
    "cmaes": (samplers.CmaEsSampler, {}),
    "gp": (samplers.GPSampler, {}),
    "nsga2": (samplers.NSGAIISampler, {"population_size": 10}),
}


def build_pruner(study: Study) -> BasePruner:
    """The study's pruner. Raises StudyFileError if there is no such pruner, or it does not take its arguments."""
    pruner, settings = study.pruner, {}
    if pruner.name in PRUNERS:
        kind, epochs = PRUNERS[pruner.name], pruner.min_epochs
        settings = {
            "study": study, "reduction_factor": pruner.reduction_factor, "max_resource": study.max_epochs,
            "min_epochs": epochs, "min_resource": epochs, "n_warmup_steps": epochs, "n_startup_steps": epochs,
            "n_startup_trials": 4, "percentile": 25.0, "patience": 3, "p_threshold": 0.1,
        }  # fmt: skip
    else:
        kind = _class_at("pruner", pruner.name, PRUNERS, study.code, BasePruner)
    return _built("pruner", pruner.name, kind, settings, pruner.arguments)


def build_sampler(study: Study, trials_drawn: int) -> BaseSampler:
    """The study's sampler; the trials drawn before are mixed into its seed, or a continuation would replay them.

    Raises StudyFileError if there is no such sampler, it cannot search the study, or does not take its arguments.
    """
    name = study.sampler.name
    if name in SAMPLERS:
        kind, defaults = SAMPLERS[name]
    else:
        kind, defaults = _class_at("sampler", name, SAMPLERS, study.code, BaseSampler), {}
    _refuse_unsuitable(study)
    # qmc finds its place in the storage by itself, and needs the same seed after an interruption.
    seed = (study.seed + SEED_STRIDE * trials_drawn) % 2**32
    settings = {"seed": seed, "study": study} | defaults
    if name == "qmc":
        settings |= {"seed": study.seed, "independent_sampler": samplers.RandomSampler(seed)}
    return _built("sampler", name, kind, settings, study.sampler.arguments)


def _refuse_unsuitable(study: Study) -> None:
    name, why = study.sampler.name, ""
    if name == "cmaes":
        why = _cmaes_cannot(study)
    elif name == "grid" and (real := [key for key, one in study.space.items() if one.values is None]):
        why = f"grid goes through all values, and space.{real[0]} is a range of real numbers; list its choices"
    elif name == "grid" and study.configurations is None:
        why = "grid goes through all values, and the space has more than 10,000 configurations; list fewer choices"
    elif name == "nsga2" and not study.second_objective:
        why = 'nsga2 is for two objectives; add second_objective = "seconds"'
    if why:
        raise StudyFileError(f"sampler: {why}")
    if study.second_objective and name != "nsga2":
        raise StudyFileError(f'second_objective: {name} knows one objective; take sampler = "nsga2", or leave it out')


def _cmaes_cannot(study: Study) -> str:
    for name, one in study.space.items():
        if isinstance(one, Choice):
            if len(one.choices) > 1:
                return f"cmaes draws numbers alone, and space.{name} has choices; fix it in [training], or take tpe"
        elif one.or_zero or one.when:
            what = "or_zero" if one.or_zero else "a condition"
            return f"cmaes draws every number every time, and space.{name} has {what}; leave it out, or take tpe"
    try:
        import cmaes  # noqa: F401
    except ImportError:
        return "cmaes needs a package that is not here: pip install '.[samplers]' in hw2tune's checkout"
    return ""


def _built(key: str, name: str, kind: Callable[..., T], settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> T:
    """Return an instance with those of our settings that it takes, and with the user's arguments."""
    takes = inspect.signature(kind).parameters
    if unknown := [one for one in arguments if one not in takes or one == "study"]:
        meant = did_you_mean(unknown[0], [one for one in takes if one not in ("seed", "study")])
        raise StudyFileError(f"{key}.arguments.{unknown[0]}: {name} does not take it{meant}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # Optuna 5 still calls some of them so
        try:
            return kind(**{one: value for one, value in settings.items() if one in takes} | dict(arguments))
        except Exception as error:  # the user's class, or Optuna's of the user's arguments, may raise anything
            raise StudyFileError(f"{key}.arguments: {name} refuses them: {error}") from None


def _class_at(key: str, name: str, known: Iterable[str], code: Mapping[str, str], base: type) -> Any:
    """Return the subclass of `base` that `package.module:Class` names, without calling it. Raises StudyFileError."""
    if not is_code(name):
        raise StudyFileError(f"{key}: no {key} {name!r}{did_you_mean(name, known, ', or package.module:Class')}")
    try:
        found = load(name, code)
    except (ImportError, AttributeError) as error:
        raise StudyFileError(f"{key}: {name} cannot be imported: {error}") from None
    except Exception as error:  # the user's module may raise anything
        raise StudyFileError(f"{key}: {name} cannot be imported: {in_words(error, code)}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        kind = found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
        raise StudyFileError(f"{key}: {name} is {kind}, not a class of optuna's {base.__name__}, so it is not called")
    return found


@contextlib.contextmanager
def told_as_users(key: str, name: str, code: Mapping[str, str]) -> Iterator[None]:
    """Around calls of a sampler or pruner: an error in the user's class has file and line. Raises UserCodeError."""
    try:
        yield
    except Hw2tuneError:
        raise
    except Exception as error:  # the user's code may raise anything
        if not (is_code(name) and is_users(error, code)):
            raise
        raise UserCodeError(  # other code than the study's copy is another study
            f"{key} {name}: {in_words(error, code)}; fix it and, if the study has begun, its copy in code/ of the "
            "study's folder, then run the same command again"
        ) from error
