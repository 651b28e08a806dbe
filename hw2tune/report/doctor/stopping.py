"""The audit of early stopping: how well a rung's order foretells the end, and what passes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hw2tune.records.overview import Overview
from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE, FAILED_BY_ITSELF, RANKED
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.findings import ANEW, Finding
from hw2tune.study.objectives import sign_of
from hw2tune.text.numbers import counted

SCHEDULE = "schedule"
APART = ' compare trials within their schedule (`arguments = { within = ["schedule"] }`),'


@dataclass(frozen=True, kw_only=True)
class Rung:
    """An epoch at which trials may be stopped. References are never stopped and count in the correlation alone."""

    epoch: int
    arrived: int
    passed: int
    schedules: Mapping[str, tuple[int, int]]  # passed and arrived by schedule; empty if it is not searched
    complete: int  # trials that were trained to the end
    correlation: float | None  # Spearman's, of their best values up to here with those at the end


def rungs(overview: Overview) -> list[Rung]:
    """Return the rungs of a study before its last epoch; none if its pruner does not compare trials."""
    return [_rung(overview, epoch) for epoch in overview.study.rungs]


def _rung(overview: Overview, epoch: int) -> Rung:
    there = [row for row in overview.rows if row.epochs >= epoch and row.state in (*RANKED, *FAILED_BY_ITSELF)]
    searched = [row for row in there if not row.label]
    names = {str(row.params[SCHEDULE]) for row in searched if SCHEDULE in row.params}
    by_name = {name: [row for row in searched if row.params.get(SCHEDULE) == name] for name in sorted(names)}
    complete = [row for row in there if row.state == COMPLETE]
    return Rung(
        epoch=epoch,
        arrived=len(searched),
        passed=_passed(searched, epoch),
        schedules={name: (_passed(rows, epoch), len(rows)) for name, rows in by_name.items()},
        complete=len(complete),
        correlation=_correlation(overview, complete, epoch),
    )


def _passed(rows: Sequence[TrialRow], epoch: int) -> int:
    return sum(row.epochs > epoch or row.state == COMPLETE for row in rows)


def _correlation(overview: Overview, complete: Sequence[TrialRow], epoch: int) -> float | None:
    sign, trials = sign_of(overview.study.direction), {trial.number: trial for trial in overview.trials}
    early, late = [], []
    for row in complete:
        values = trials[row.number].intermediate_values if row.number in trials else {}
        seen = [sign * value for step, value in values.items() if step <= epoch and math.isfinite(value)]
        if row.value is not None:
            early.append(max(seen, default=-math.inf))
            late.append(sign * row.value)
    if len(late) < 3 or len(set(early)) < 2 or len(set(late)) < 2:
        return None
    return float(stats.spearmanr(early, late).statistic)


def behind_the_best(rows: Sequence[TrialRow]) -> float | None:
    """Return the share of epochs that were trained after their trial's best epoch; None without any epoch."""
    ranked = [row for row in rows if row.state in RANKED and row.best_epoch is not None]
    epochs = sum(row.epochs for row in ranked)
    return sum(row.epochs - (row.best_epoch or 0) for row in ranked) / epochs if epochs else None


def wrong_stopping(overview: Overview) -> Iterator[Finding]:
    """Yield the rungs whose order says nothing about the end, and the schedules that never pass one."""
    audit = rungs(overview)
    for rung in audit:
        if rung.correlation is None or rung.complete < limit.FEWEST_TO_THE_END:
            continue
        upper = upper_limit(rung.correlation, rung.complete)
        if upper < limit.CORRELATION:
            yield Finding(
                check="stopping",
                finding=f"The order of trials at epoch {rung.epoch} says little about their order at the end.",
                evidence=(
                    f"Rank correlation {rung.correlation:.2f} (95 % limit {upper:.2f}) over "
                    f"{counted(rung.complete, 'trial')} that were trained to the end."
                ),
                remedy=f"Stop later: set `min_epochs` under [pruner] above {rung.epoch}, and {ANEW}.",
            )
    tried = sum(len(rung.schedules) for rung in audit)
    apart = APART if overview.study.pruner.name == "halving" else ""
    for rung in audit:
        for name, (passed, arrived) in rung.schedules.items():
            others, all_others = rung.passed - passed, rung.arrived - arrived
            table = np.array([[passed, arrived - passed], [others, all_others - others]])
            p = stats.fisher_exact(table, alternative="less").pvalue if passed == 0 and all_others else 1.0
            if p * tried < limit.FALSE_SCHEDULE:
                yield Finding(
                    check="stopping",
                    hyperparameter=SCHEDULE,
                    finding=f"No trial with the schedule {name} passed the rung at epoch {rung.epoch}.",
                    evidence=f"0 of {arrived} passed, of the other schedules {others} of {all_others}.",
                    remedy=(
                        "A schedule whose gain comes late cannot be judged there: set `min_epochs` under [pruner] "
                        f"above {rung.epoch},{apart} or search one schedule at a time, and {ANEW}."
                    ),
                )


def upper_limit(correlation: float, n: int) -> float:
    """Return the upper end of the 95 % interval of a rank correlation (Fisher's z; Fieller et al., 1957)."""
    z = np.arctanh(min(correlation, 1 - 1e-9))
    return float(np.tanh(z + stats.norm.ppf(0.975) * math.sqrt(1.06 / (n - 3))))
