"""Everything that is wrong with the content of a study file, as text: `key: condition, but got value`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hw2tune.data.catalog import DATASETS
from hw2tune.data.own import is_own
from hw2tune.study.claims import Claim
from hw2tune.study.distributions import Bounds, Choice, Distribution, Interval, as_table
from hw2tune.study.models import MODELS
from hw2tune.study.notation import did_you_mean, foreign_notation
from hw2tune.study.objectives import OBJECTIVES
from hw2tune.study.reference_faults import faults_of_claims, faults_of_configurations
from hw2tune.study.schema import Pruner, Sampler, Study
from hw2tune.study.space_faults import faults_of_space, faults_of_training
from hw2tune.user_code.files import is_code, reference_error

_KINDS: dict[str, type[BaseModel]] = {"interval": Interval, "choice": Choice, "bounds": Bounds}
_TABLES: dict[str, type[BaseModel]] = {"pruner": Pruner, "sampler": Sampler}
_INNER = (*_KINDS, "[key]", "value", "values", "function-before")  # parts of a place that only pydantic knows


def validation_errors(content: Mapping[str, Any]) -> list[str]:
    """All faults of a study file's content, in the form of `normal_form`; empty where it is a study."""
    space = content.get("space")
    foreign = foreign_notation(space) if isinstance(space, Mapping) else {}
    faults = list(_of_schema(_without(content, foreign)))
    faults += _of_names(content)
    training = content.get("training")
    fixed = training if isinstance(training, Mapping) else {}
    if isinstance(space, Mapping):
        distributions = _distributions(space, foreign)
        faults += foreign.values()
        faults += faults_of_space(distributions, space, fixed)
        faults += faults_of_training(fixed, space)
        faults += faults_of_configurations(content, distributions, complete=len(distributions) == len(space))
    faults += faults_of_claims(content)
    return faults


def _of_schema(content: Mapping[str, Any]) -> Iterator[str]:
    try:
        Study.model_validate(content)
    except ValidationError as error:
        yield from dict.fromkeys(_as_text(details) for details in error.errors(include_url=False))


def _as_text(details: ErrorDetails) -> str:
    place = [str(part) for part in details["loc"] if not (isinstance(part, str) and _is_inner(part))]
    key, got = ".".join(place), repr(details["input"])
    match details["type"]:
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden":
            return f"{key}: unknown key{did_you_mean(place[-1], _known_keys(details))}"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case "string_pattern_mismatch":
            return (
                f"{key}: must be 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit, but got {got}"
            )
        case _ if place[0] == "validation_size":
            return f"validation_size: must be a number of images >= 1 or a share between 0 and 1, but got {got}"
        case "bool_type" | "int_type" | "float_type" | "string_type" if place[-1] in _TYPES:
            return f"{'.'.join(place[:-1])}: must be one value, but got {got}"
        case _:
            return f"{key}: {details['msg'].replace('Input should be', 'must be')}, but got {got}"


_TYPES = ("bool", "int", "float", "str")  # of one value: pydantic names a fault for each of them


def _is_inner(part: str) -> bool:
    return part in _INNER or ("[" in part and part != "[key]")


def _known_keys(details: ErrorDetails) -> Iterable[str]:
    loc = details["loc"]
    kind = next((_KINDS[str(part)] for part in loc if part in _KINDS), _TABLES.get(str(loc[0]), Study))
    if loc[0] == "claims":
        return ("of", "with", "name") if len(loc) > 3 else Claim.model_fields
    return [name for name in kind.model_fields if name != "code"]


def _of_names(content: Mapping[str, Any]) -> Iterator[str]:
    dataset, model, objective = (content.get(key) for key in ("dataset", "model", "objective"))
    info = DATASETS.get(dataset) if isinstance(dataset, str) else None
    if isinstance(dataset, str) and info is None and not is_own(dataset):
        own = f"; a folder of images goes by its path (./{dataset}), a function by file.py:name"
        yield f"dataset: no data set {dataset!r}{did_you_mean(dataset, DATASETS, own)}"
    yield from _of_model(model, dataset, info)
    if isinstance(objective, str) and objective not in OBJECTIVES:
        yield from _of_code("objective", objective, OBJECTIVES)
    if isinstance(dataset, str) and is_code(dataset):
        yield from _of_code("dataset", dataset, DATASETS)
    size = content.get("validation_size")
    if info and isinstance(size, int) and size >= info.trainval_size:
        yield f"validation_size: must leave images to train on, but got {size} of {info.trainval_size}"
    if content.get("test_share") is not None and info:
        yield f"test_share: {dataset} has test images of its own; leave test_share out"
    if content.get("resize") is not None and info:
        yield f"resize: goes with a folder of images, and {dataset} is none; leave resize out"


def _of_model(model: Any, dataset: Any, info: Any) -> Iterator[str]:
    if not isinstance(model, str):
        return
    if model in MODELS:
        if info and MODELS[model].input_shape != info.image_shape:
            takes, has = ("x".join(map(str, shape)) for shape in (MODELS[model].input_shape, info.image_shape))
            yield f"model: {model} takes images of {takes}, but data set {dataset} has {has}"
    elif not is_code(model):
        own = "; one of your own goes by file.py:Name or package.module:factory"
        yield f"model: no model {model!r}{did_you_mean(model, MODELS, own)}"
    else:
        yield from _of_code("model", model, MODELS)


def _of_code(key: str, value: str, known: Iterable[str]) -> Iterator[str]:
    if not is_code(value):
        yield f"{key}: must be one of {', '.join(known)}, or file.py:name of a function, but got {value!r}"
    elif (wrong := reference_error(value)) is not None:
        yield f"{key}: {wrong}, but got {value!r}"


def _without(content: Mapping[str, Any], foreign: Mapping[str, str]) -> Mapping[str, Any]:
    """The content without the hyperparameters whose fault is known already."""
    if not foreign:
        return content
    return {**content, "space": {name: raw for name, raw in content["space"].items() if name not in foreign}}


def _distributions(space: Mapping[str, Any], foreign: Mapping[str, str]) -> dict[str, Distribution]:
    adapter: TypeAdapter[Distribution] = TypeAdapter(Distribution)
    sound = {}
    for name, raw in space.items():
        if name in foreign:
            continue
        try:
            sound[name] = adapter.validate_python(as_table(raw))
        except ValidationError:  # named by _of_schema
            continue
    return sound
