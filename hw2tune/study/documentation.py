"""What is said of study files elsewhere, made from what reads them: `python -m hw2tune.study.documentation` writes it.

`docs/study.schema.json` is for editors, which complete and check by it; `docs/study-file.md` is for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hw2tune.study.claims import Claim, Side
from hw2tune.study.distributions import Bounds, Choice, Interval
from hw2tune.study.hyperparameters import HYPERPARAMETERS
from hw2tune.study.optimizers import OPTIMIZERS
from hw2tune.study.schema import Pruner, Sampler, Study

SCHEMA, PAGE = "study.schema.json", "study-file.md"


def json_schema() -> str:
    """The JSON schema of study files, as they may be written."""
    schema = Study.model_json_schema()
    schema["title"] = "hw2tune study"
    properties = schema["properties"]
    del properties["code"]
    for name in ("sampler", "pruner"):  # a name alone is a table with a name
        properties[name] = {
            "description": properties[name]["description"],
            "anyOf": [_reference(name), {"type": "string"}],
        }
    value = {"anyOf": [{"type": kind} for kind in ("boolean", "integer", "number", "string")]}
    distribution = properties["space"]["additionalProperties"]
    plain = {"anyOf": [distribution, value, {"type": "array", "items": value}]}
    known = {name: {"description": f"{spec.label}: {spec.condition}"} for name, spec in HYPERPARAMETERS.items()}
    properties["space"] |= {
        "properties": {name: {**about, **plain} for name, about in known.items()} | {"model": {"type": "object"}},
        "additionalProperties": plain,
    }
    for side in ("a", "b"):
        schema["$defs"]["Claim"]["properties"][side] = {"anyOf": [_reference("side"), {"type": "string"}]}
    for name in ("training", "references", "enqueue"):
        _open(properties[name])
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name.capitalize()}"}


def _open(table: dict[str, Any]) -> None:
    """`model.width = 32` is a table in a table in TOML."""
    named = next(iter(table.get("patternProperties", {}).values()), None)
    configuration = named or table.get("items") or table
    configuration.setdefault("properties", {})["model"] = {"type": "object"}


def page() -> str:
    """`docs/study-file.md`."""
    return "\n".join([*_keys(), *_searched(), *_fixed(), *_claimed()])


def _keys() -> Iterator[str]:
    yield from (
        "# The study file",
        "",
        "<!-- made by `python -m hw2tune.study.documentation`; change the code, not this page -->",
        "",
        "A study file says what is searched and what is claimed. `hw2tune new NAME` writes one to begin with, "
        "`hw2tune check FILE` names every fault at once. Editors that know JSON schemas complete and check it by a "
        f"first line `#:schema PATH`, with the path of `docs/{SCHEMA}` in a checkout.",
        "",
    )
    for title, model in (("Keys", Study), ("`[sampler]`", Sampler), ("`[pruner]`", Pruner)):
        yield from (f"## {title}", "", *_table(model, leave_out=("code",)), "")


def _searched() -> Iterator[str]:
    yield from (
        "## `[space]`: what is searched",
        "",
        "A list is choices, a plain value is one choice. A range is `{ low = 1e-4, high = 1e-1, log = true }`:",
        "",
        *_table(Interval, leave_out=("when",)),
        "",
        '`choices` in a table, for one with a condition: `{ choices = [0.5, 0.9], when = { optimizer = "sgd" } }`. '
        "`when` names another hyperparameter and a value, a list of values, or a range "
        "`{ low = 0.1 }`; the other may have a condition itself.",
        "",
    )


def _fixed() -> Iterator[str]:
    yield from (
        "## `[training]`: what is fixed, and the hyperparameters",
        "",
        "Each hyperparameter stands in `[space]` or, as one value, in `[training]`; a reference names those of the "
        "space.",
        "",
        "| name | value | without it | with |",
        "|---|---|---|---|",
    )
    for spec in HYPERPARAMETERS.values():
        absent = "must be there" if spec.absent is None else _toml(spec.absent)
        yield f"| `{spec.name}` | {spec.condition} | {absent} | {', '.join(spec.optimizers) or 'every optimizer'} |"
    yield from (
        "| `model.<name>` | a number, text, true or false | the network's own default | the network that takes it |",
        "",
        "`weight_decay` means what the optimizer means by it: decoupled in "
        f"{' and '.join(name for name, spec in OPTIMIZERS.items() if spec.decoupled)}, L2 in the gradient in others. "
        "`gradient_clip = 0` is none. `augment` is drawn for each batch on its device: `flip` mirrors half of the "
        "images, `crop` shifts each by up to an eighth, `cutout` covers a square of half the size. `muon` trains the "
        "weight matrices and AdamW the rest.",
        "",
    )


def _claimed() -> Iterator[str]:
    yield from (
        "## `[references.NAME]`, `[[claims]]`, `[[enqueue]]`",
        "",
        "References are the first trials and are never stopped. A claim's sides:",
        "",
        *_table(Claim),
        "",
        *_table(Side, names={"changes": "with"}),
        "",
        "Each pair is trained on the same seeds and read on the test images; the page prints the difference with its "
        "interval, the p value of a sign-flip test, and the same corrected for the number of claims (Holm).",
        "",
    )


_MEANINGS = {
    (Interval, "low"): "smallest value", (Interval, "high"): "largest value", (Interval, "log"): "log-uniform",
    (Interval, "or_zero"): "exactly 0 as well, half of the time at first",
    (Interval, "integer"): "whole numbers", (Interval, "step"): "between whole numbers",
    (Claim, "a"): "a reference's name, `tuned`, or a table as below", (Claim, "b"): "what it is held against",
    (Claim, "sentence"): "what makes the difference; `changes test accuracy by ...` follows it",
    (Side, "of"): "a reference, or `tuned`", (Side, "changes"): "hyperparameters with other values",
    (Side, "name"): "what it is called in figures and tables", (Bounds, "low"): "", (Choice, "choices"): "",
}  # fmt: skip


def _table(
    model: type[BaseModel], leave_out: tuple[str, ...] = (), names: dict[str, str] | None = None
) -> Iterator[str]:
    yield "| key | what | default |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        if name not in leave_out:
            what = field.description or _MEANINGS[model, name]
            yield f"| `{(names or {}).get(name, name)}` | {what} | {_default(field)} |"


def _default(field: Any) -> str:
    if field.is_required():
        return "must be there"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return f"`{default.name}`"  # type: ignore[attr-defined]  # a sampler or a pruner
    return "" if default in (None, "", {}, []) else _toml(default)


def _toml(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def write(folder: Path) -> None:
    """Writes both into the documentation's folder."""
    (folder / SCHEMA).write_text(json_schema(), encoding="utf-8")
    (folder / PAGE).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs")
