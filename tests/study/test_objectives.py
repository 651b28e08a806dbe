"""The best epoch: the same everywhere, and never one without a finite value."""

import math

from hypothesis import given
from hypothesis import strategies as st

from hw2tune.study.objectives import best_epoch

ANY = st.floats(allow_subnormal=False)  # a training flushes them in its process


@given(st.dictionaries(st.integers(1, 50), ANY | st.sampled_from([math.nan, 0.5]), max_size=8), st.booleans())
def test_the_best_epoch_is_the_first_of_the_best_finite_values(values, lower):
    finite = {epoch: value for epoch, value in values.items() if abs(value) < math.inf}  # false of NaN
    found = best_epoch(values, "minimize" if lower else "maximize")
    if not finite:
        assert found is None
        return
    best = min(finite.values()) if lower else max(finite.values())
    assert values[found] == best
    assert found == min(epoch for epoch, value in finite.items() if value == best)
