"""Notations of one thing in a study file: those brought to one form before it is checked, and those of other tools."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hw2tune.study.conditions import as_list
from hw2tune.study.hyperparameters import MODEL, is_number
from hw2tune.study.schema import TUNED
from hw2tune.text.plain import nearest, value_text

# What a study with [published] (the key of version 0.1) claims.
_PUBLISHED_CLAIMS = [
    {"a": "l2", "b": "baseline"},
    {"a": "tuned", "b": "baseline"},
    {"a": "tuned", "b": {"name": "tuned-no-l2", "of": "tuned", "with": {"weight_decay": 0.0}}},
]
# Names in other tools' files, small letters and digits alone, and ours.
ALIASES = {
    "lr": "learning_rate", "learningrate": "learning_rate", "eta": "learning_rate", "stepsize": "learning_rate",
    "bs": "batch_size", "batch": "batch_size", "batchsize": "batch_size", "minibatch": "batch_size",
    "wd": "weight_decay", "l2": "weight_decay", "weightdecay": "weight_decay", "decay": "weight_decay",
    "opt": "optimizer", "optim": "optimizer", "solver": "optimizer", "mom": "momentum", "beta": "momentum",
    "epochs": "max_epochs", "nepochs": "max_epochs", "numepochs": "max_epochs", "maxiter": "max_epochs",
    "ntrials": "trials", "numtrials": "trials", "numsamples": "trials", "maxtrials": "trials", "count": "trials",
    "metric": "objective", "goal": "objective", "data": "dataset", "network": "model", "net": "model",
    "criterion": "loss", "lossfunction": "loss", "valsize": "validation_size", "searchspace": "space",
    "parameters": "space", "params": "space", "randomseed": "seed", "randomstate": "seed", "scheduler": "pruner",
    "algorithm": "sampler", "searchalg": "sampler", "method": "sampler",
    "baseline": "references", "published": "references", "dropout": "model.dropout", "clip": "gradient_clip",
    "gradclip": "gradient_clip", "smoothing": "label_smoothing", "labelsmoothing": "label_smoothing",
    "augmentation": "augment", "lrschedule": "schedule", "lrscheduler": "schedule", "warmupratio": "warmup",
}  # fmt: skip

_LISTS = ("values", "value", "choice", "options", "categorical", "grid", "list")
_LOWS, _HIGHS = ("min", "lower", "from", "start"), ("max", "upper", "to", "stop", "end")
_KINDS = ("distribution", "type", "dist", "kind", "sampling")


def normal_form(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a study file in the form that is checked and written back.

    `sampler = "tpe"` is a table with a name, as the pruner is; `[space.model]` holds hyperparameters called `model.*`;
    [published] is what references were called; claims that are left out are there. What is wrong stays as it is.
    """
    normal = dict(content)
    for key in ("sampler", "pruner"):
        if isinstance(normal.get(key), str):
            normal[key] = {"name": normal[key]}
    if isinstance(normal.get("published"), Mapping) and "references" not in normal:
        normal["references"] = normal.pop("published")
        if "claims" not in normal and set(normal["references"]) == {"baseline", "l2"}:
            normal["claims"] = _PUBLISHED_CLAIMS
    if isinstance(arms := normal.get("arms"), Mapping) and arms:
        normal["arms"] = {name: _flat_model(one) for name, one in arms.items()}
        first, *others = normal["arms"]
        normal.setdefault("claims", [{"a": first, "b": other} for other in others])
    for key in ("space", "training"):
        if key in normal:
            normal[key] = _flat_model(normal[key])
    if isinstance(references := normal.get("references"), Mapping):
        normal["references"] = {name: _flat_model(one) for name, one in references.items()}
        normal.setdefault("claims", [{"a": TUNED, "b": next(iter(references))}] if references else [])
    if isinstance(queue := normal.get("enqueue"), list):
        normal["enqueue"] = [_flat_model(one) for one in queue]
    return normal


def _flat_model(configuration: Any) -> Any:
    # TOML reads `model.width = 32` as a table in a table.
    if not isinstance(configuration, Mapping) or not isinstance(table := configuration.get(MODEL[:-1]), Mapping):
        return configuration
    others = {name: value for name, value in configuration.items() if name != MODEL[:-1]}
    return others | {MODEL + name: value for name, value in table.items()}


def foreign_notation(space: Mapping[str, Any]) -> dict[str, str]:
    """Return by hyperparameter the fault of an entry in the notation of another tool, with the right notation."""
    faults = {name: _fault(name, raw) for name, raw in space.items() if isinstance(raw, Mapping)}
    return {name: f"space.{name}: {fault}" for name, fault in faults.items() if fault}


def _fault(name: str, raw: Mapping[str, Any]) -> str | None:
    if "choices" in raw:
        return None
    listed = next((key for key in _LISTS if key in raw), None)
    if listed is not None:
        return f"`{listed}` is called `choices` here; write {name} = {_shown(as_list(raw[listed]))}"
    low: Any = next((raw[key] for key in ("low", *_LOWS) if key in raw), None)
    high: Any = next((raw[key] for key in ("high", *_HIGHS) if key in raw), None)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (low, high))
    if name == "batch_size" and is_number(low) and is_number(high) and not raw.get("integer"):
        first = max(0, math.ceil(math.log2(max(1, low))))
        powers = [2**n for n in range(first, first + 20) if low <= 2**n <= high]
        choices = _shown(powers or sorted({max(1, round(low)), max(1, round(high))}))
        return (
            "a range draws real numbers and a batch size is whole; write choices, for example batch_size = "
            f"{choices}, or add integer = true"
        )
    if not any(key in raw for key in (*_LOWS, *_HIGHS, *_KINDS)) or not numbers:
        return None
    log = any("log" in str(raw.get(key, "")).lower() for key in _KINDS) or raw.get("log") is True
    used = next(key for key in raw if key in (*_LOWS, *_HIGHS, *_KINDS))
    return f"`{used}` is not known here; write {name} = {{ low = {low}, high = {high}{', log = true' if log else ''} }}"


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the likely meaning, to follow a fault: by another tool's name for it, or by its spelling.

    Where nothing is near, what there is, and `otherwise`.
    """
    known = list(known)
    if (meant := ALIASES.get(re.sub("[^a-z0-9]", "", word.lower()))) in known:
        return f"; it is called `{meant}` here"
    close = nearest(word, known)
    return f"; did you mean `{close}`?" if close else f"; known here: {', '.join(known)}{otherwise}"


def _shown(values: list[Any]) -> str:
    shown = (f'"{value}"' if isinstance(value, str) else value_text(value) for value in values)
    return f"[{', '.join(shown)}]"
