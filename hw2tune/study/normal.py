"""The ways in which one thing can be written in a study file, brought to one form before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hw2tune.study.claims import default_claims
from hw2tune.study.hyperparameters import MODEL

# What a study with [published] (the key of version 0.1) claims.
_PUBLISHED_CLAIMS = [
    {"a": "l2", "b": "baseline"},
    {"a": "tuned", "b": "baseline"},
    {"a": "tuned", "b": {"name": "tuned-no-l2", "of": "tuned", "with": {"weight_decay": 0.0}}},
]


def normal_form(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study file in the form that is checked and written back.

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
    for key in ("space", "training"):
        if isinstance(normal.get(key), Mapping):
            normal[key] = _flat_model(normal[key])
    if isinstance(references := normal.get("references"), Mapping):
        normal["references"] = {name: _flat_model(one) for name, one in references.items()}
        normal.setdefault("claims", default_claims(references))
    if isinstance(queue := normal.get("enqueue"), list):
        normal["enqueue"] = [_flat_model(one) for one in queue]
    return normal


def _flat_model(configuration: Any) -> Any:
    """`model.width = 32`, which TOML reads as a table in a table, under its full name."""
    if not isinstance(configuration, Mapping) or not isinstance(table := configuration.get(MODEL[:-1]), Mapping):
        return configuration
    others = {name: value for name, value in configuration.items() if name != MODEL[:-1]}
    return others | {MODEL + name: value for name, value in table.items()}
