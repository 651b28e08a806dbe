"""Every order in which machines can take their steps: a small stateless model checker over real code.

A machine is a function in a thread of its own that stops before each step. `explore` runs it in every order, where a
machine that is not chosen sleeps, and may be killed between any two steps. The code is deterministic, so what a machine
has seen is its state: two orders that lead to one state are followed once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

_here = threading.local()


class Killed(BaseException):
    """Ends a machine between two steps; no `except Exception` hears it."""


@dataclass
class Machine:
    """A machine and what it has seen; `script` is a generator function, each of whose items is one process on it."""

    name: str
    script: Callable[[], Iterator[Callable[[], None]]]
    kills: int = 0  # how often it may be killed
    seen: list[Any] = field(default_factory=list)
    over: bool = False
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._go, self._stopped, self._kill = threading.Semaphore(0), threading.Semaphore(0), False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def _run(self) -> None:
        _here.machine = self
        for process in self.script():
            try:
                process()
            except Killed:
                self.seen.append("killed")
                if self.kills < 0:
                    break
            except BaseException as error:
                self.error = error
                break
        self.over = True
        self._stopped.release()

    def pause(self) -> None:
        self.seen.append("step")  # a step that tells nothing is one too
        self._stopped.release()
        self._go.acquire()
        if self._kill:
            self._kill = False
            raise Killed

    def advance(self, *, kill: bool = False) -> None:
        """Takes the step before which it stopped, or dies there, and stops before the next one."""
        self._kill = kill
        self.kills -= kill
        self._go.release()
        self._stopped.acquire()

    def end(self) -> None:
        while not self.over:
            self.kills = 0
            self.advance(kill=True)


def machine() -> Machine | None:
    """The machine whose code calls."""
    return getattr(_here, "machine", None)


def step() -> None:
    """Any other machine may take steps before this one goes on."""
    if (one := machine()) is not None:
        one.pause()


def saw(what: Any) -> Any:
    """Notes what a step told its machine."""
    if (one := machine()) is not None:
        one.seen.append(what)
    return what


class World(Protocol):
    """What the machines share; one is made for each order."""

    machines: list[Machine]

    def state(self) -> Any:
        """Everything shared, as something that hashes."""

    def check(self) -> None:
        """Raises AssertionError where something is wrong now, whatever happens next."""

    def close(self) -> None: ...


def explore(
    begin: Callable[[], World], *, switches: int | None = None, stop_at_first: bool = True, alike: bool = False
) -> tuple[int, int, list[str]]:
    """The orders that were run, the states that were checked, and what was found wrong, in which order.

    `switches` bounds how often another machine takes over (a kill is none). Of machines that are `alike` the first
    begins.
    """
    known, checked = set[int](), set[int]()
    orders, wrong, left = 0, list[str](), [list[tuple[int, bool]]()]
    while left and not (wrong and stop_at_first):
        order, orders, world = left.pop(), orders + 1, begin()
        try:
            for number, kill in order:
                world.machines[number].advance(kill=kill)
            while True:
                last = order[-1][0] if order else None
                made = sum(a[0] != b[0] for a, b in pairwise(order))
                state = (world.state(), *(hash((m.over, m.kills, *m.seen)) for m in world.machines))
                if switches is not None:
                    state = (*state, last, made)
                if (key := hash(state)) in known:
                    break
                known.add(key)
                for one in world.machines:
                    if one.error is not None:
                        raise one.error
                if (shared := hash((world.state(), all(one.over for one in world.machines) and state))) not in checked:
                    checked.add(shared)
                    world.check()
                able = [n for n, m in enumerate(world.machines) if not m.over]
                if switches is not None and made >= switches and last in able:
                    able = [last]
                able = able[:1] if alike and not order else able
                choices = [(n, False) for n in able] + [(n, True) for n in able if world.machines[n].kills > 0]
                if not choices:
                    break
                first, *others = sorted(choices, key=lambda one: (one[1], one[0] != last))
                left += [[*order, other] for other in others]
                order = [*order, first]
                world.machines[first[0]].advance(kill=first[1])
        except AssertionError as error:
            path = "".join("abc"[n] + "!" * kill for n, kill in order)
            wrong.append(f"{path}: {error}")
        finally:
            for one in world.machines:
                one.end()
            world.close()
    return orders, len(known), wrong
