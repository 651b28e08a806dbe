"""Everything that is wrong with the content of a study file, as text: `key: condition, but got value`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hw2tune.data.catalog import DATASETS
from hw2tune.study.hyperparameters import KNOWN, REQUIRED, error_in_value
from hw2tune.study.models import MODELS
from hw2tune.study.notation import ALIASES, foreign_notation
from hw2tune.study.schema import LABELS, Pruner, Study
from hw2tune.study.space import Choice, Distribution, Interval, Space, as_table

_KINDS: dict[str, type[BaseModel]] = {"interval": Interval, "choice": Choice}


def validation_errors(content: Mapping[str, Any]) -> list[str]:
    """All faults of a study file's content; empty where it is a study."""
    space = content.get("space")
    foreign = foreign_notation(space) if isinstance(space, Mapping) else {}
    faults = list(_of_schema(_without(content, foreign)))
    distributions = _distributions(space, foreign) if isinstance(space, Mapping) else {}
    faults += _of_names(content)
    if isinstance(space, Mapping):
        faults += foreign.values()
        faults += _of_space(distributions, space)
    published = content.get("published")
    if isinstance(published, Mapping) and isinstance(space, Mapping):
        faults += _of_published(published, distributions, complete=len(distributions) == len(space))
    return faults


def _of_schema(content: Mapping[str, Any]) -> Iterator[str]:
    try:
        Study.model_validate(content)
    except ValidationError as error:
        yield from dict.fromkeys(_worded(details) for details in error.errors(include_url=False))


def _worded(details: ErrorDetails) -> str:
    place = [str(part) for part in details["loc"] if part not in (*_KINDS, "[key]")]
    key = ".".join(place)
    got = repr(details["input"])
    match details["type"]:
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden":
            return f"{key}: unknown key{_did_you_mean(place[-1], _known_keys(details))}"
        case "too_short" if key == "published":
            return "published: must hold [published.baseline] and [published.l2]"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case "string_pattern_mismatch":
            return (
                f"{key}: must be 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit, but got {got}"
            )
        case "literal_error" if details["loc"][-1] == "[key]":
            return f"{key}: unknown key{_did_you_mean(place[-1], LABELS)}"
        case _:
            return f"{key}: {details['msg'].replace('Input should be', 'must be')}, but got {got}"


def _known_keys(details: ErrorDetails) -> Iterable[str]:
    loc = details["loc"]
    kind = next((_KINDS[str(part)] for part in loc if part in _KINDS), Pruner if loc[0] == "pruner" else Study)
    return kind.model_fields


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    known = list(known)
    if (meant := ALIASES.get(re.sub("[^a-z0-9]", "", word.lower()))) in known:
        return f"; it is called `{meant}` here"
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; known here: {', '.join(known)}"


def _of_names(content: Mapping[str, Any]) -> Iterator[str]:
    dataset, model = content.get("dataset"), content.get("model")
    info = DATASETS.get(dataset) if isinstance(dataset, str) else None
    if isinstance(dataset, str) and info is None:
        yield f"dataset: no data set {dataset!r}{_did_you_mean(dataset, DATASETS)}"
    if isinstance(model, str) and model not in MODELS:
        yield f"model: no model {model!r}{_did_you_mean(model, MODELS)}"
    elif isinstance(model, str) and info and MODELS[model].input_shape != info.image_shape:
        takes, has = ("x".join(map(str, shape)) for shape in (MODELS[model].input_shape, info.image_shape))
        yield f"model: {model} takes images of {takes}, but data set {dataset} has {has}"
    size = content.get("validation_size")
    if info and isinstance(size, int) and size >= info.trainval_size:
        yield f"validation_size: must leave images to train on, but got {size} of {info.trainval_size}"


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
        except ValidationError:  # worded by _of_schema
            continue
    return sound


def _of_space(distributions: Mapping[str, Distribution], space: Mapping[str, Any]) -> Iterator[str]:
    for name in space:
        if name not in KNOWN:
            yield f"space.{name}: unknown hyperparameter{_did_you_mean(name, KNOWN)}"
    for name in REQUIRED:
        if name not in space:
            yield f"space.{name}: is missing; give a range, choices or one value"
    for name, distribution in distributions.items():
        if name in KNOWN and isinstance(distribution, Interval) and distribution.or_zero and error_in_value(name, 0.0):
            yield f"space.{name}.or_zero: zero is no {name.replace('_', ' ')}; leave or_zero out"
        if name in KNOWN:
            wrong = (error_in_value(name, value) for value in distribution.extremes())
            yield from (f"space.{name}: {fault}" for fault in wrong if fault)
        for on, value in distribution.when.items():
            fault = _of_condition(name, on, value, distributions, space)
            if fault:
                yield f"space.{name}.when.{on}: {fault}"
    yield from _of_momentum(distributions)


def _of_condition(
    name: str, on: str, value: Any, distributions: Mapping[str, Distribution], space: Mapping[str, Any]
) -> str | None:
    if on not in space:
        return f"condition on an unknown parameter{_did_you_mean(on, [n for n in space if n != name])}"
    condition = distributions.get(on)
    if condition is None:  # faulty itself, and reported so
        return None
    if not isinstance(condition, Choice) or condition.when:
        return "a condition must be on a parameter with choices and without a condition of its own"
    if value not in condition.choices:
        return f"must be one of the choices of {on} ({', '.join(map(str, condition.choices))}), but got {value!r}"
    return None


def _of_momentum(distributions: Mapping[str, Distribution]) -> Iterator[str]:
    momentum, optimizer = distributions.get("momentum"), distributions.get("optimizer")
    if momentum is None or not isinstance(optimizer, Choice):
        return
    if set(optimizer.choices) != {"sgd"} and momentum.when.get("optimizer") != "sgd":
        yield 'space.momentum: only sgd has momentum, so it needs when = { optimizer = "sgd" }'


def _of_published(
    published: Mapping[str, Any], distributions: Mapping[str, Distribution], *, complete: bool
) -> Iterator[str]:
    space = Space(distributions)
    for label, configuration in published.items():
        if label not in LABELS or not isinstance(configuration, Mapping):
            continue
        faults = {name: error_in_value(name, value) for name, value in configuration.items() if name in KNOWN}
        outside = space.validation_errors(configuration) if complete else {}
        for name in dict.fromkeys([*configuration, *outside]):
            if name not in KNOWN and name not in configuration:
                continue  # unknown in the space, and reported there
            if name not in KNOWN:
                yield f"published.{label}.{name}: unknown hyperparameter{_did_you_mean(name, KNOWN)}"
            elif fault := faults.get(name) or outside.get(name):
                yield f"published.{label}.{name}: {fault}"
