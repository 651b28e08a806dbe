"""JSON as other programs read it: NaN and Infinity, which are Python's own, become null."""

from __future__ import annotations

import json
from typing import Any


def strict_json(content: Any, **how: Any) -> str:
    """Return `content` as JSON, null for each number that is not finite; `how` is that of `json.dumps`."""
    text = json.dumps(content, **how)
    finite = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(finite, **how | {"allow_nan": False, "default": None})
