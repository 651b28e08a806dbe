"""Faults of a study file's content as text, `key: condition, but got value`, all of them at once."""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hw2tune.data.catalog import DATASETS
from hw2tune.study.arms import arm_faults, search_of
from hw2tune.study.conditions import Bounds, as_list
from hw2tune.study.hyperparameters import HYPERPARAMETERS, KNOWN, MODEL, REQUIRED, error_in_value, of_model
from hw2tune.study.names import MODELS, REPLACED, REPRODUCIBLE
from hw2tune.study.notation import did_you_mean, foreign_notation
from hw2tune.study.objectives import OBJECTIVES
from hw2tune.study.schema import NAME_PATTERN, TUNED, Claim, Pruner, Sampler, Side, Study
from hw2tune.study.space import Choice, CycleError, Distribution, Interval, Space
from hw2tune.study.splits import split_faults
from hw2tune.user_code.files import is_code, is_own, reference_error

_MODELS: dict[str, type[BaseModel]] = {
    "interval": Interval, "choice": Choice, "bounds": Bounds, "pruner": Pruner, "sampler": Sampler, "claims": Claim,
    "a": Side, "b": Side,
}  # fmt: skip
# Parts of a place that only pydantic knows.
_INNER = ("interval", "choice", "bounds", "[key]", "value", "values", "function-before")
_TYPES = ("bool", "int", "float", "str")  # of one value: pydantic names a fault for each of them


def checked(content: Mapping[str, Any]) -> tuple[Study | None, list[str]]:
    """Return the study in a content in `normal_form`, None if its schema is broken, and all faults.

    Checks across fields see what could be read, so that they name their faults next to those of the schema.
    """
    study, faults = _checked(content, {})
    if faults and isinstance(space := content.get("space"), Mapping):  # no other tool's notation is sound here
        return _checked(content, foreign_notation(space))
    return study, faults


def _checked(content: Mapping[str, Any], foreign: Mapping[str, str]) -> tuple[Study | None, list[str]]:
    """Return the study and its faults, with the `foreign` entries of the space by their own fault."""
    space, training = (table if isinstance(table := content.get(key), Mapping) else {} for key in ("space", "training"))
    ours = _distributions(space, foreign)
    study: Study | None = None
    faults: list[str] = []
    tables = arms if isinstance(arms := content.get("arms"), Mapping) else {}
    arms = {arm: _distributions(one) if isinstance(one, Mapping) else one for arm, one in tables.items()}
    try:
        study = Study.model_validate(
            {**content, **({"space": ours} if space else {}), **({"arms": arms} if arms else {})}
        )
        distributions = study.space
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults += dict.fromkeys(map(_as_text, errors))
        broken = {one["loc"][1] for one in errors if one["loc"][0] == "space" and len(one["loc"]) > 1}
        readable = {name: raw for name, raw in ours.items() if name not in broken}
        distributions = TypeAdapter(dict[str, Distribution]).validate_python(readable)
    faults += [*_of_names(content), *_of_order(content)]
    if isinstance(content.get("space"), Mapping):
        faults += [*foreign.values(), *_of_space(distributions, space, training), *_of_training(training, space)]
        searched = None
        try:
            searched = Space(distributions)
        except CycleError as error:
            names = " and ".join(error.args[0])
            faults.append(f"space: the conditions of {names} wait for each other; take one `when` out")
        faults += _of_configurations(content, searched if len(distributions) == len(space) else None)
    faults += _of_claims(content)
    return study, faults if study is None or faults else list(dict.fromkeys(_of_arms(study)))


def _distributions(table: Mapping[str, Any], foreign: Collection[str] = ()) -> dict[str, Any]:
    """Return the entries of a table in our notation; a list is choices, a plain value a single choice."""
    return {
        name: raw if isinstance(raw, Mapping) else {"choices": as_list(raw)}
        for name, raw in table.items()
        if name not in foreign
    }


def _as_text(details: ErrorDetails) -> str:
    place = [part for part in map(str, details["loc"]) if part not in _INNER and "[" not in part]
    key, got = ".".join(place), repr(details["input"])
    match details["type"]:
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden":
            above = reversed(details["loc"][:-1])
            model = next((_MODELS[str(part)] for part in above if part in _MODELS), Study)
            known = [field.alias or name for name, field in model.model_fields.items() if name != "code"]
            return f"{key}: unknown key{did_you_mean(place[-1], known)}"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case "string_pattern_mismatch":
            return (
                f"{key}: must be 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit, but got {got}"
            )
        case _ if place[0] == "validation_size":
            return f"validation_size: must be a number of images >= 1 or a share between 0 and 1, but got {got}"
        case _ if place[0] == "replicates":
            return f'replicates: must be "auto" or a number of seeds >= 1, but got {got}'
        case "bool_type" | "int_type" | "float_type" | "string_type" if place[-1] in _TYPES:
            return f"{'.'.join(place[:-1])}: must be one value, but got {got}"
        case _:
            return f"{key}: {details['msg'].replace('Input should be', 'must be')}, but got {got}"


def _of_order(content: Mapping[str, Any]) -> Iterator[str]:
    if content.get("order") != "virtual":
        if content.get("slots") is not None:
            yield f'slots: goes with order = "virtual", but got {content["slots"]!r}; add it, or leave slots out'
        return
    for key, names in REPRODUCIBLE.items():
        chosen = content.get(key)
        name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
        if isinstance(name, str) and name not in (*names, *REPLACED):
            yield (
                f"order: virtual makes the same study the same again, but not with {key} {name!r}; take "
                f'{", ".join(names[:-1])} or {names[-1]}, or order = "arrival"'
            )


def _of_names(content: Mapping[str, Any]) -> Iterator[str]:
    named = {key: content[key] for key in ("dataset", "model", "objective") if isinstance(content.get(key), str)}
    for key, name in named.items():
        if is_code(name) and (wrong := reference_error(name)) is not None:
            yield f"{key}: {wrong}, but got {name!r}"
    dataset, model, objective = (named.get(key, "") for key in ("dataset", "model", "objective"))
    info, size = DATASETS.get(dataset), content.get("validation_size")
    if dataset and not info and not is_own(dataset):
        own = f"; a folder of images goes by its path (./{dataset}), a function by file.py:name"
        yield f"dataset: no data set {dataset!r}{did_you_mean(dataset, DATASETS, own)}"
    if model and model not in MODELS and not is_code(model):
        own = "; one of your own goes by file.py:Name or package.module:factory"
        yield f"model: no model {model!r}{did_you_mean(model, MODELS, own)}"
    if objective and objective not in OBJECTIVES and not is_code(objective):
        yield f"objective: must be one of {', '.join(OBJECTIVES)}, or file.py:name of a function, but got {objective!r}"
    if info is None:
        return
    if model in MODELS and MODELS[model].input_shape != info.image_shape:
        takes, has = ("x".join(map(str, shape)) for shape in (MODELS[model].input_shape, info.image_shape))
        yield f"model: {model} takes images of {takes}, but data set {dataset} has {has}"
    if isinstance(size, int) and size >= info.trainval_size:
        yield f"validation_size: must leave images to train on, but got {size} of {info.trainval_size}"
    if content.get("test_share") is not None:
        yield f"test_share: {dataset} has test images of its own; leave test_share out"
    if content.get("resize") is not None:
        yield f"resize: goes with a folder of images, and {dataset} is none; leave resize out"


def _is_known(name: str) -> bool:
    return name in KNOWN or (of_model(name) and name.removeprefix(MODEL).isidentifier())


def _fault(name: str, value: Any, *, searched: bool = False) -> str | None:
    """Return the fault of a value, or of an unknown name; in [space] and [training] the network's may be meant."""
    if _is_known(name):
        return error_in_value(name, value)
    own = f"; one of your network's own is written model.{name}" if searched and name.isidentifier() else ""
    return f"unknown hyperparameter{did_you_mean(name, KNOWN, own)}"


def _optimizers_with(name: str) -> tuple[str, ...]:
    return HYPERPARAMETERS[name].optimizers if name in KNOWN else ()


def _of_space(
    distributions: Mapping[str, Distribution], space: Mapping[str, Any], training: Mapping[str, Any]
) -> Iterator[str]:
    yield from (f"space.{name}: {_fault(name, None, searched=True)}" for name in space if not _is_known(name))
    lacking = [name for name in REQUIRED if name not in space and name not in training]
    yield from (f"space.{name}: is missing; give a range, choices or one value" for name in lacking)
    for name, distribution in distributions.items():
        if _is_known(name):
            yield from _of_values(name, distribution)
        for on, condition in distribution.when.items():
            if fault := _of_condition(name, on, condition, distributions, space):
                yield f"space.{name}.when.{on}: {fault}"
    yield from _of_optimizers(distributions, training)


def _of_training(training: Mapping[str, Any], space: Mapping[str, Any]) -> Iterator[str]:
    for name, value in training.items():
        if _is_known(name) and isinstance(value, list | Mapping):
            yield f"training.{name}: must be one value; what is to be searched stands in [space]"
        elif fault := _fault(name, value, searched=True):
            yield f"training.{name}: {fault}"
        if name in space:
            yield f"training.{name}: stands in [space] as well; let it be searched there or fixed here"


def _of_values(name: str, distribution: Distribution) -> Iterator[str]:
    called = name.replace("_", " ")
    if isinstance(distribution, Interval) and distribution.or_zero and error_in_value(name, 0):
        yield f"space.{name}.or_zero: zero is no {called}; leave or_zero out"
    for value in distribution.extremes():
        if fault := error_in_value(name, value):
            yield f"space.{name}: {fault}"
    whole = name in KNOWN and HYPERPARAMETERS[name].kind == "integer"
    if whole and isinstance(distribution, Interval) and not distribution.integer:
        yield f"space.{name}: a range draws real numbers and a {called} is whole; add integer = true"


def _of_condition(
    name: str, on: str, condition: Any, distributions: Mapping[str, Distribution], space: Mapping[str, Any]
) -> str | None:
    if on not in space:
        return f"condition on an unknown parameter{did_you_mean(on, [n for n in space if n != name])}"
    if (other := distributions.get(on)) is None:  # has a fault of its own
        return None
    if isinstance(condition, Bounds):
        return None if other.meets(condition) else f"no value of {on} ({other}) lies in {condition}"
    for value in as_list(condition):
        if not other.contains(value):
            if isinstance(other, Choice):
                shown = ", ".join(map(str, other.choices))
                return f"must be one of the choices of {on} ({shown}), but got {value!r}"
            return f"must lie in the range of {on} ({other}), but got {value!r}"
    if other.values is None:
        return f"{on} is a real number that hits one value almost never; write a range {{ low = .., high = .. }}"
    return None


def _of_optimizers(distributions: Mapping[str, Distribution], training: Mapping[str, Any]) -> Iterator[str]:
    optimizer = distributions.get("optimizer")
    choices = optimizer.choices if isinstance(optimizer, Choice) else [training.get("optimizer")]
    names = [str(name) for name in choices if isinstance(name, str | int | float)]
    for name, distribution in distributions.items():
        having, condition = _optimizers_with(name), distribution.when.get("optimizer")
        allowed = as_list(condition)
        if not having or set(names) <= set(having) or all(one in having for one in allowed):
            continue
        fitting = [one for one in names if one in having]
        if not fitting:
            yield f"space.{name}: none of {', '.join(names)} has {name}; leave it out"
            continue
        shown, verb = (json.dumps(fitting), "have") if len(fitting) > 1 else (json.dumps(fitting[0]), "has")
        yield f"space.{name}: only {' and '.join(fitting)} {verb} {name}, so it needs when = {{ optimizer = {shown} }}"


def _of_configurations(content: Mapping[str, Any], space: Space | None) -> Iterator[str]:
    """References and [[enqueue]]; without a space that could be read, each value by itself."""
    references, queue = content.get("references"), content.get("enqueue")
    named: dict[str, Any] = {}
    if isinstance(references, Mapping):
        named |= {f"references.{name}": one for name, one in references.items()}
        trials = content.get("trials", 50)
        if isinstance(trials, int) and trials < (least := len(references)):
            yield f"trials: must be {least} or more, as the references are the first trials, but got {trials}"
        if TUNED in references:
            yield f"references.{TUNED}: is what the winner of the search is called; take another name"
    if isinstance(queue, list):
        named |= {f"enqueue.{number}": one for number, one in enumerate(queue)}
    for place, configuration in named.items():
        if isinstance(configuration, Mapping):
            outside = space.validation_errors(configuration) if space is not None else {}
            optimizer = configuration.get("optimizer")
            for name, value in configuration.items():
                having = _optimizers_with(name)
                if fault := _fault(name, value) or outside.get(name):
                    yield f"{place}.{name}: {fault}"
                elif having and optimizer and optimizer not in having:
                    yield f"{place}.{name}: {optimizer} has none; leave it out"
            missing = (name for name in outside if name not in configuration and _is_known(name))
            yield from (f"{place}.{name}: {outside[name]}" for name in missing)


def _of_arms(study: Study) -> Iterator[str]:
    """Each arm must be a study that could be run by itself."""
    yield from (*arm_faults(study), *split_faults(study))
    for arm in study.arms:
        yield from (f"arms.{arm}: {fault}" for fault in checked(search_of(study, arm).model_dump())[1])


def _of_claims(content: Mapping[str, Any]) -> Iterator[str]:
    """Each side must exist and differ from the other, and no two configurations may share a name."""
    claims, references, arms = (content.get(key) for key in ("claims", "references", "arms"))
    winners = list(arms) if isinstance(arms, Mapping) and arms else [TUNED]
    known = [*references, *winners] if isinstance(references, Mapping) else winners
    named: dict[str, Any] = {name: (name, {}) for name in known}
    for number, claim in enumerate(claims if isinstance(claims, list) else ()):
        if not isinstance(claim, Mapping):
            continue
        for side in ("a", "b"):
            yield from _of_side(f"claims.{number}.{side}", claim.get(side), known, named)
        with contextlib.suppress(ValidationError):  # named by the schema
            one = Claim.model_validate({side: claim.get(side) for side in ("a", "b")})
            if (one.a.of, one.a.changes) == (one.b.of, one.b.changes):
                yield f"claims.{number}: a and b are the same; a claim compares two configurations"


def _of_side(place: str, side: Any, known: list[str], named: dict[str, Any]) -> Iterator[str]:
    of = side.get("of", TUNED) if isinstance(side, Mapping) else side
    if of == TUNED and TUNED not in known:
        yield f"{place}: the winner of which arm? name one of {', '.join(known)}"
    elif isinstance(of, str) and of not in known:
        yield f"{place}: no configuration {of!r}{did_you_mean(of, known)}"
    if not isinstance(side, Mapping):
        return
    changes, name = side.get("with"), side.get("name")
    for hyperparameter, value in changes.items() if isinstance(changes, Mapping) else ():
        if fault := _fault(hyperparameter, value):
            yield f"{place}.with.{hyperparameter}: {fault}"
    if isinstance(name, str) and name and (not re.fullmatch(NAME_PATTERN, name) or name in known):
        yield f"{place}.name: must be a new name of letters, digits, `.`, `_` and `-`, but got {name!r}"
        return
    with contextlib.suppress(ValidationError):  # named by the schema
        one = Side.model_validate(side)
        if named.setdefault(one.variant, (one.of, one.changes)) != (one.of, one.changes):
            yield f"{place}.name: {one.variant!r} is the name of another configuration; set a name of its own"
