"""The course of a race on any number of slots: what it waits for, and in idle slots what it will most likely want.

Values reach the race in its own order, a decision at a time, whichever training ends first and whatever was trained
ahead: it decides, and is charged for, what it would on one slot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hw2tune.replication.race import Finalists

FUTURES = 8  # races on drawn values, to see what they ask for
DECISIONS = 4  # of each

Place = tuple[int, int]  # a finalist, and a seed by its place among the race's


class Course:
    """Trainings of a race: `wanted` are those that its next decision waits for, none when it is over.

    `sign` is -1 for values of which the smallest is the best.
    """

    wanted: list[Place]

    def __init__(self, known: Finalists, sign: int = 1) -> None:
        self.known, self.sign = known, sign
        self.begun: set[Place] = set()
        self.values: dict[Place, float | None] = {}  # of every finished training
        self._likely: list[Place] | None = None
        self._decide()

    @property
    def unused(self) -> set[Place]:
        """Begun trainings that the race has not asked for."""
        return {(number, place) for number, place in self.begun if place >= len(self.known.values[number])}

    def begin(self) -> Place | None:
        """Return the training to begin next: a wanted one, then the likeliest; None if there is none for now."""
        places = [place for place in self.wanted if place not in self.begun]
        if self.wanted and not places:
            if self._likely is None:
                self._likely = self._futures()
            places = [place for place in self._likely if place not in self.begun]
        if not places:
            return None
        self.begun.add(places[0])
        return places[0]

    def learn(self, place: Place, value: float | None) -> None:
        """Take the value of a finished training, None if it diverged, and decide what can be decided."""
        self.values[place], self._likely = None if value is None else self.sign * value, None
        while self.wanted and all(place in self.values for place in self.wanted):
            for number, seed in self.wanted:
                self.known.values[number].append(self.values[number, seed])
            self._decide()

    def _decide(self) -> None:
        self.wanted = [(number, len(self.known.values[number])) for number in self.known.next()]

    def _futures(self) -> list[Place]:
        """Return what the race may want next, the likeliest first: what it asks for if values come as it expects."""
        asked = Counter[Place]()
        for future in self.known.futures(FUTURES, DECISIONS):
            race = replace(self.known, values=[[*values] for values in self.known.values])
            numbers = [number for number, _ in self.wanted]
            for drawn in future.T:
                for number in numbers:
                    place = number, len(race.values[number])
                    race.values[number].append(self.values.get(place, float(drawn[number])))
                if not (numbers := race.next()):
                    break
                asked.update((number, len(race.values[number])) for number in numbers)
        return [place for place, _ in asked.most_common()]
