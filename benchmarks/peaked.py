"""When a trial has peaked and may end: `python -m benchmarks.peaked`. Nothing is trained.

Random draws with halving, one worker, replayed as in `benchmarks.rungs`; a rule may also end a trial, which then is
complete. Each rule's searches are paired by seed with those that end no trial. `behind` is the share of epochs that lie
behind their trial's best one, `behind 5` of those behind five epochs without a new best.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.replay.scoring import gain
from benchmarks.results import print_table, write_results
from benchmarks.rungs import (
    BUDGETS,
    Ends,
    Halving,
    Invented,
    Measured,
    Replayed,
    Trained,
    World,
    random_draws,
    replay,
    to_the_end,
)
from hw2tune.study.schema import Study

LAST = 8  # epochs that say what a curve does next
WORLDS: dict[str, Callable[[], World]] = {
    "digits-schedules": lambda: Measured("digits-schedules", "tuning"),
    "cifar10-5k": lambda: Measured("cifar10-5k", "all"),
    "invented": Invented,
}


def waited(one: Trained) -> int:
    """Epochs since a trial's best one."""
    return len(one.values) - 1 - int(np.argmax(one.values))


def keeps_its_rate(one: Trained) -> bool:
    """Whether the rate does not fall, so that no late best is to be expected."""
    return one.configuration.get("schedule", "constant") == "constant"


def patience(epochs: int, study: Study, one: Trained, others: Sequence[Trained]) -> bool:
    """The rule of `patience` under [pruner]."""
    return waited(one) >= epochs


def spares_falling_rates(epochs: int, study: Study, one: Trained, others: Sequence[Trained]) -> bool:
    """Patience, for constant rates alone."""
    return waited(one) >= epochs and keeps_its_rate(one)


def unlikely(threshold: float, bar: str, study: Study, one: Trained, others: Sequence[Trained]) -> bool:
    """A new best, the trial's own or the study's, has a probability below the threshold in the epochs left.

    Line and noise are those of the last epochs; a falling line is taken as level.
    """
    seen, left = np.array(one.values[-LAST:]), study.max_epochs - len(one.values)
    if not keeps_its_rate(one) or waited(one) < 1 or len(seen) < 4:
        return False
    best = max(one.values)
    if bar == "study":
        best = max([best, *(max(other.values) for other in others if other.values and not other.diverged)])
    x = np.arange(1 - len(seen), 1)
    slope, level = np.polyfit(x, seen, 1)
    noise = max(float(np.std(seen - level - slope * x, ddof=2)), 1e-4)
    ahead = level + max(0.0, float(slope)) * np.arange(1, left + 1)
    return 1 - float(np.prod(stats.norm.cdf((best - ahead) / noise))) < threshold


RULES: dict[str, Ends] = {
    "to its last epoch": to_the_end,
    **{f"patience {epochs}": partial(patience, epochs) for epochs in (5, 3, 2)},
    **{f"patience {epochs}, constant rates": partial(spares_falling_rates, epochs) for epochs in (5, 3, 2)},
    **{f"own best below {share:.0%}": partial(unlikely, share, "own") for share in (0.2, 0.5, 0.8)},
    **{f"study's best below {share:.0%}": partial(unlikely, share, "study") for share in (0.1, 0.3)},
}


def line(some: Sequence[Replayed], before: Sequence[Replayed]) -> dict[str, Any]:
    """Epochs behind the best, trials of a search, and the score by budget."""
    alive = [one for each in some for one in each.trained if one.values and not one.diverged]
    epochs = sum(len(one.values) for one in alive)
    found: dict[str, Any] = {
        "behind": f"{sum(map(waited, alive)) / epochs:.1%}",
        "behind 5": f"{sum(max(0, waited(one) - 5) for one in alive) / epochs:.1%}",
        "trials": f"{np.mean([len(one.trained) for one in some]):.0f}",
    }
    scores, others = (np.array([one.scores for one in each]) for each in (some, before))
    for at, budget in enumerate(BUDGETS):
        found[f"{budget}"] = f"{100 * scores[:, at].mean():.2f}"
        found[f"gain {budget}"] = "-" if some is before else str(gain(scores[:, at], others[:, at]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    lines = []
    for name in options.worlds:
        world = WORLDS[name]()
        first: list[Replayed] = []
        for rule, ends in RULES.items():
            some = [
                replay(world, Halving(), random_draws(world.study, seed), seed, ends_at=ends)
                for seed in range(options.seeds)
            ]
            first = first or some
            lines.append({"world": name, "rule": rule, **line(some, first)})
            print(lines[-1], flush=True)
    print_table(lines)
    write_results("peaked", {"seeds": options.seeds, "lines": lines})


if __name__ == "__main__":
    main()
