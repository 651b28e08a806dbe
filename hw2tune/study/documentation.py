"""Documentation of study files, made from their models: `python -m hw2tune.study.documentation` writes it.

`docs/study.schema.json` is for editors, which complete and check by it; `docs/study-file.md` is for people.
"""

import json
from pathlib import Path
from typing import Any

from hw2tune.study.hyperparameters import HYPERPARAMETERS, OPTIMIZERS
from hw2tune.study.schema import Claim, Pruner, Sampler, Side, Study
from hw2tune.study.space import Interval
from hw2tune.text.plain import markdown_table

SCHEMA, PAGE = "study.schema.json", "study-file.md"
_TEXT = """# The study file

<!-- made by `python -m hw2tune.study.documentation`; change the code, not this page -->

A study file says what is searched and what is claimed. `hw2tune new NAME` writes one to begin with, \
`hw2tune check FILE` names every fault at once. Editors that know JSON schemas complete and check it by a \
first line `#:schema PATH`, with the path of `docs/study.schema.json` in a checkout.

## Keys

STUDY

## `[sampler]`

SAMPLER

## `[pruner]`

PRUNER

## `[space]`: what is searched

A list is choices, a plain value is one choice. A range is `{ low = 1e-4, high = 1e-1, log = true }`:

INTERVAL

`choices` in a table, for one with a condition: `{ choices = [0.5, 0.9], when = { optimizer = "sgd" } }`. \
`when` names another hyperparameter and a value, a list of values, or a range `{ low = 0.1 }`; the other may have a \
condition itself.

## `[training]`: what is fixed, and the hyperparameters

Each hyperparameter stands in `[space]` or, as one value, in `[training]`; a reference names those of the space.

HYPERPARAMETERS

`weight_decay` means what the optimizer means by it: decoupled in DECOUPLED, L2 in the gradient in others. \
`gradient_clip = 0` is none. `augment` is drawn for each batch on its device: `flip` mirrors half of the images, \
`crop` shifts each by up to an eighth, `cutout` covers a square of half the size. `muon` trains the weight matrices \
and AdamW the rest.

## `[arms.NAME]`: each side tuned

```toml
searches = 1

[arms.l2]
weight_decay = { low = 1e-6, high = 1e-1, log = true }

[arms.no-l2]
weight_decay = 0.0

[[claims]]
a = "l2"
b = "no-l2"
```

An arm is the study with its entries in place of those of `[space]`: a value fixes a hyperparameter, a range or a list \
narrows it. A value may also fix what is not searched. Conditions stay those of `[space]`, and no two arms are the \
same. Each arm is searched with the study's `trials` or `budget`, its sampler and its seed, one arm after the other, \
and raced; references that an arm cannot draw are not its trials. A claim's side names an arm, and means its winner. \
`searches = K` searches each arm K times, see \
[Claims and statistics](claims.md#each-side-tuned).

## `[references.NAME]`, `[[claims]]`, `[[enqueue]]`

References are the first trials and are never stopped. A claim's sides:

CLAIM

SIDE

Each pair is trained on the same seeds and evaluated on the test images; the page prints a [verdict](claims.md), the \
difference and its interval, corrected for the number of claims. With `replicates = "auto"` the first round has as \
many seeds as can decide anything: 5 for one claim, 6 for three. Then the sides of undecided claims get one more seed \
at a time, until each claim is decided, or a verdict within `max_replicates` seeds is unlikely. A number trains so \
many seeds and judges once; if it is changed after that, claims are judged as with "auto". \
With `splits = K` it is the number of seeds on each of K splits, see [Other splits](claims.md#other-splits). \
`hw2tune summarize NAME --replicates auto --most 30` overrides both keys.
"""


def page() -> str:
    """Return `docs/study-file.md`."""
    rows = [
        [f"`{one.name}`", one.condition, _toml(one.absent), ", ".join(one.optimizers) or "every optimizer"]
        for one in HYPERPARAMETERS.values()
    ]
    own = "`model.<name>`", "a number, text, true or false", "the network's own default", "the network that takes it"
    table = markdown_table(["name", "value", "without it", "with"], [*rows, own])
    text = _TEXT.replace("\nHYPERPARAMETERS\n", f"\n{table}\n")
    text = text.replace("DECOUPLED", " and ".join(name for name, spec in OPTIMIZERS.items() if spec.decoupled))
    for model in (Study, Sampler, Pruner, Interval, Claim, Side):
        rows = [
            [f"`{field.alias or name}`", field.description, _default(field)]
            for name, field in model.model_fields.items()
            if field.description
        ]
        table = markdown_table(["key", "what", "default"], rows)
        text = text.replace(f"\n{model.__name__.upper()}\n", f"\n{table}\n")
    return text


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
    docs = Path(__file__).parents[2] / "docs"
    (docs / SCHEMA).write_text(json_schema(), encoding="utf-8")
    (docs / PAGE).write_text(page(), encoding="utf-8")
