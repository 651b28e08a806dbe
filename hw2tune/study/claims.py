"""Claims of a study: side `a` against side `b`, each a reference, the winner, or one of them with changed values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hw2tune.study.hyperparameters import Value, identity
from hw2tune.text.plain import value_text

TUNED = "tuned"  # the winner of the search
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True, serialize_by_alias=True)


class Side(BaseModel):
    """A configuration of a claim: a reference or `tuned`, and with `with` the same with other values (an ablation)."""

    model_config = STRICT
    of: Annotated[str, Field(description="a reference, or `tuned`")] = TUNED
    changes: Annotated[dict[str, Value], Field(alias="with", description="hyperparameters with other values")] = {}
    name: Annotated[str, Field(description="what it is called in figures and tables")] = ""

    @property
    def variant(self) -> str:
        """Name in figures and tables, unique in a study; `safe_name` turns it into names of files."""
        return self._called(lambda value: text if float(text := f"{value:g}") == value else repr(value))

    @property
    def earlier_variant(self) -> str:
        """Name in results of earlier versions, which rounded and cut names, so that several sides could share it."""
        return self._called(lambda value: f"{value:g}")[:64]

    def _called(self, number: Callable[[float], str]) -> str:
        if self.name or not self.changes:
            return self.name or self.of
        texts = (f"{name.removeprefix('model.')}-{value_text(value, number)}" for name, value in self.changes.items())
        return "-".join([self.of, *texts])

    def agrees(self, configuration: Mapping[str, Value]) -> bool:
        """Return whether a configuration has the values that this side changes."""
        return identity({**configuration, **self.changes}) == identity(configuration)


class Claim(BaseModel):
    """One pair to be tested on the same seeds. `sentence` says what makes the difference, for people."""

    model_config = STRICT
    a: Annotated[Side, Field(description="a reference's name, `tuned`, or a table as below")]
    b: Annotated[Side, Field(description="what it is held against")]
    sentence: Annotated[
        str, Field(description="what makes the difference; `changes test accuracy by ...` follows it")
    ] = ""

    @field_validator("a", "b", mode="before")
    @classmethod
    def _a_name_is_a_side(cls, side: Any) -> Any:
        return {"of": side} if isinstance(side, str) else side


def is_tuning(claim: Claim) -> bool:
    """Return whether a claim compares the winner of the search with a reference."""
    return claim.a.of == TUNED and not claim.a.changes and claim.b.of != TUNED and not claim.b.changes


def default_claims(references: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the claims of a study file without any: the winner against the first reference."""
    return [{"a": TUNED, "b": next(iter(references))}] if references else []


def variants_of(claims: Sequence[Claim], references: Mapping[str, Any]) -> dict[str, Side]:
    """Return the configurations that the claims name: references in order, the winner, then derived ones."""
    sides = {side.variant: side for claim in claims for side in (claim.a, claim.b)} or {TUNED: Side()}
    order = [*references, TUNED]
    plain = {name: sides[name] for name in order if name in sides and not sides[name].changes}
    return plain | {name: side for name, side in sides.items() if name not in plain}
