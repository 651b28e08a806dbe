"""What `--json` prints is JSON, whatever numbers are in it."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from hw2tune.text.plain import strict_json

CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nulled(content):
    """The content, null for every number that is not finite."""
    match content:
        case float():
            return content if math.isfinite(content) else None
        case list():
            return [nulled(one) for one in content]
        case dict():
            return {name: nulled(one) for name, one in content.items()}
    return content


@given(CONTENT)
def test_numbers_that_are_not_finite_are_null_and_all_else_is_as_it_was(content):
    def constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert json.loads(strict_json(content, indent=2), parse_constant=constant) == nulled(content)
