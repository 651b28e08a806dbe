"""How long a race takes on several slots: `OMP_NUM_THREADS=1 uv run python -m benchmarks.race_slots`, some minutes.

Invented searches as in `benchmarks.race`, whose trainings all take one round. A race that waits for its leader and
rival leaves the other slots idle; one that looks ahead trains there what it will most likely want. Both decide the
same, which is asserted; `ahead` are the trainings that a race begun ahead did not need.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.race import Field, drawn, now
from benchmarks.results import print_table, write_results
from hw2tune.replication.course import Course

SLOTS = (1, 2, 4, 8, 16)
SETTINGS = (
    Field(finalists=4, images=0.3, told=0.3),
    Field(finalists=6, images=0.3, told=0.3),
    Field(finalists=6, images=0.3, told=0.3, seed=0.2),
    Field(finalists=12, images=0.3, told=0.3, trials=60),
)


def race(setting: Field, seed: int, slots: int, *, look_ahead: bool) -> tuple[int, int, list[list[float | None]]]:
    """Return the rounds of a race, the trainings that it did not need, and the values that it asked for."""
    one, rounds = drawn(setting, seed), 0
    course = Course(now(one.search, one.pruned, one.others, setting.told))
    while course.wanted:
        places = [] if look_ahead else [place for place in course.wanted if place not in course.begun][:slots]
        course.begun |= {*places}
        while look_ahead and len(places) < slots and (ahead := course.begin()) is not None:
            places.append(ahead)
        for place in places:
            course.learn(place, float(one.values[place]))
        rounds += 1
    return rounds, len(course.unused), course.known.values


def line(setting: Field, races: int) -> dict[str, Any]:
    """Return a line of the table: rounds that wait and that look ahead, by slots."""
    found: dict[str, Any] = {"finalists": setting.finalists, "seed": setting.seed}
    for slots in SLOTS:
        waiting = [race(setting, seed, slots, look_ahead=False) for seed in range(races)]
        ahead = [race(setting, seed, slots, look_ahead=True) for seed in range(races)]
        assert [one[2] for one in waiting] == [one[2] for one in ahead]
        rounds, unused = (np.mean([one[place] for one in ahead]) for place in (0, 1))
        found["trainings"] = f"{np.mean([sum(map(len, one[2])) for one in ahead]):.1f}"
        found[f"{slots} at once"] = f"{np.mean([one[0] for one in waiting]):.1f} -> {rounds:.1f} (ahead {unused:.1f})"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=100)
    races = parser.parse_args().races
    lines = [line(setting, races) for setting in SETTINGS]
    print_table(lines)
    write_results("race-slots", {"races": races, "lines": lines})


if __name__ == "__main__":
    main()
