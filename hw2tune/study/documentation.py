"""Documentation of study files, made from their models: `python -m hw2tune.study.documentation` writes it.

`docs/study.schema.json` is for editors, which complete and check by it; `docs/study-file.md` is for people.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hw2tune.study.hyperparameters import HYPERPARAMETERS, OPTIMIZERS, HyperparameterSpec
from hw2tune.study.schema import Claim, Pruner, Sampler, Side, Study
from hw2tune.study.space import Interval
from hw2tune.text.plain import markdown_table

SCHEMA, PAGE = "study.schema.json", "study-file.md"
DOCS = Path(__file__).parents[2] / "docs"
_MADE = re.compile(r"(<!-- (\w+) -->)(.*?)(<!-- end -->)", re.DOTALL)


def page() -> str:
    """Return `docs/study-file.md` with what is made of the models, between `<!-- NAME -->` and `<!-- end -->`."""
    rows = [
        [f"`{one.name}`", one.condition, _absent(one), ", ".join(one.optimizers) or "every optimizer"]
        for one in HYPERPARAMETERS.values()
    ]
    own = "`model.<name>`", "a number, text, true or false", "the network's own default", "the network that takes it"
    made = {model.__name__: _table_of(model) for model in (Study, Sampler, Pruner, Interval, Claim, Side)}
    made["hyperparameters"] = _block(["name", "value", "without it", "with"], [*rows, own])
    made["decoupled"] = " and ".join(name for name, spec in OPTIMIZERS.items() if spec.decoupled)
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    assert {part[1] for part in _MADE.findall(text)} == made.keys(), "each part has its place in the page"
    return _MADE.sub(lambda part: f"{part[1]}{made[part[2]]}{part[4]}", text)


def _absent(one: HyperparameterSpec) -> str:
    """Return the default of a hyperparameter, and those of optimizers that have another."""
    own = {name: OPTIMIZERS[name].takes[one.name] for name in one.optimizers}
    others = [f"{name} {_toml(value)}" for name, value in own.items() if value != one.absent]
    return ", ".join([_toml(one.absent), *others])


def _table_of(model: type[BaseModel]) -> str:
    fields = [(name, field) for name, field in model.model_fields.items() if field.description]
    rows = [[f"`{field.alias or name}`", str(field.description), _default(field)] for name, field in fields]
    return _block(["key", "what", "default"], rows)


def _block(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return f"\n\n{markdown_table(columns, rows)}\n\n"


def _default(field: Any) -> str:
    if field.is_required():
        return _toml(None)
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Sampler | Pruner):
        return f"`{default.name}`"
    return "" if default in (None, "", {}, []) else _toml(default)


def _toml(value: Any) -> str:
    return "must be there" if value is None else f"`{json.dumps(value)}`"


def json_schema() -> str:
    """Return the JSON schema of study files, as they may be written."""
    schema = Study.model_json_schema()
    schema["title"] = "hw2tune study"
    properties = schema["properties"]
    del properties["code"]
    for name in ("sampler", "pruner"):  # a name alone is a table with a name
        properties[name] = {"description": properties[name]["description"], **_named(name)}
    for side in ("a", "b"):
        schema["$defs"]["Claim"]["properties"][side] |= _named("side")
        del schema["$defs"]["Claim"]["properties"][side]["$ref"]
    value = {"anyOf": [{"type": kind} for kind in ("boolean", "integer", "number", "string")]}
    plain = {"anyOf": [properties["space"]["additionalProperties"], value, {"type": "array", "items": value}]}
    [arm] = properties["arms"]["patternProperties"].values()
    arm["additionalProperties"] = plain
    known = {one.name: {"description": f"{one.label}: {one.condition}", **plain} for one in HYPERPARAMETERS.values()}
    properties["space"] |= {"properties": known | {"model": {"type": "object"}}, "additionalProperties": plain}
    for table in (
        properties["training"],
        *properties["references"]["patternProperties"].values(),
        properties["enqueue"]["items"],
    ):  # `model.width = 32` is a table in a table in TOML
        table.setdefault("properties", {})["model"] = {"type": "object"}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _named(table: str) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{table.capitalize()}"}, {"type": "string"}]}


if __name__ == "__main__":
    (DOCS / SCHEMA).write_text(json_schema(), encoding="utf-8")
    (DOCS / PAGE).write_text(page(), encoding="utf-8")
