"""The length of a trial: how many of those that end an epoch go on to the next."""

from __future__ import annotations

from collections.abc import Sequence

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import FAILED_BY_ITSELF, RANKED
from hw2tune.study.names import HALVING
from hw2tune.study.schema import Study

# Asynchronous halving lets more than 1 / reduction_factor of the trials pass: the first ones are compared with few, and
# later ones, as the sampler improves, with all that came before. Measured by `benchmarks.lengths`: 0.32 to 0.62.
PASSED = 0.42
WEIGHT = 10  # trials that this counts as beside the study's own


def going_on(study: Study, rows: Sequence[TrialRow] = ()) -> list[float]:
    """Return the share of drawn trials that go on from each epoch: of the study's own and of what is usual.

    Item 0 is of trials that begin, and 1; the last epoch's is 0.
    """
    drawn = [row.epochs_spent for row in rows if not row.label and row.state in (*RANKED, *FAILED_BY_ITSELF)]
    usual = dict.fromkeys(study.rungs, PASSED) if study.pruner.name in HALVING else {}
    shares = [1.0]
    for epoch in range(1, study.max_epochs):
        passed, arrived = (sum(one >= least for one in drawn) for least in (epoch + 1, epoch))
        shares.append((WEIGHT * usual.get(epoch, 1.0) + passed) / (WEIGHT + arrived))
    return [*shares, 0.0]


def halved(study: Study) -> list[float]:
    """Return the same where exactly one in `reduction_factor` passes each rung."""
    passed = dict.fromkeys(study.rungs, 1 / study.pruner.reduction_factor)
    return [*(passed.get(epoch, 1.0) for epoch in range(study.max_epochs)), 0.0]


def epochs_to_come(shares: Sequence[float]) -> list[float]:
    """Return the epochs that a trial is expected to train after each epoch of `going_on`."""
    expected = [0.0]
    for share in reversed(shares[:-1]):
        expected.append(share * (1 + expected[-1]))
    return expected[::-1]
