"""Findings of the study doctor."""

from __future__ import annotations

from dataclasses import dataclass

ANEW = "run the study under a new name (`--name`)"  # its finished trials depend on what changes


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault of a study, by the name of its check. Plain text: escape it where it is printed."""

    check: str
    finding: str  # a sentence
    evidence: str  # the numbers behind it, a sentence
    remedy: str  # an imperative sentence
    hyperparameter: str = ""  # that it is about
