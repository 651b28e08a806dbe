"""Ray when it is needed: started or attached to at the first use, left at the end of a `with`."""

from __future__ import annotations

import contextlib
import importlib
from functools import cached_property, partial
from typing import TYPE_CHECKING

from hw2tune.events import Listeners
from hw2tune.execution.machine import this_machine
from hw2tune.interrupt import start_deaf_thread
from hw2tune.loggers import silenced
from hw2tune.resources import Capacity, ResourceRequest, find_capacity

if TYPE_CHECKING:
    from hw2tune.execution.cluster import Cluster


class Connection(contextlib.ExitStack):
    """One Ray for all that is done within the `with`. Where nothing needs it, it is neither imported nor started."""

    def __init__(self, resources: ResourceRequest, tell: Listeners) -> None:
        super().__init__()
        self.resources, self.tell = resources, tell
        self._cluster: Cluster | None = None

    def cluster(self, meanwhile: str = "") -> Cluster:
        """The cluster; `meanwhile` is a module to be imported while Ray starts, which is mostly waiting."""
        if self._cluster is None:
            address = self.resources.address
            self.tell.stage("starting Ray" if address is None else f"attaching to {address}")
            with silenced("ray.widgets.util"):  # where Ray is imported in a notebook it asks for ipywidgets
                from hw2tune.execution.cluster import connected
            if meanwhile and address is None:
                start_deaf_thread(partial(_imported, meanwhile))
            self._cluster = self.enter_context(connected(self.resources, self.tell.note))
        return self._cluster

    def capacity(self) -> Capacity:
        """Capacity for trials: of this machine without starting anything, of a cluster by asking it."""
        return self._here if self._cluster is None and self.resources.address is None else self.cluster().capacity()

    @cached_property
    def _here(self) -> Capacity:
        return find_capacity([this_machine()], self.resources)  # asks nvidia-smi, which takes up to seconds


def _imported(module: str) -> None:
    with contextlib.suppress(Exception):  # whatever it is, the import that waits for this one raises it again
        importlib.import_module(module)
