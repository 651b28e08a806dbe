"""A connection whose Ray must not be needed."""

from hw2tune.execution.request import Connection


class RayNeededError(AssertionError):
    """Ray would have been started: a training or a test was missing, or a refusal came too late."""


class WithoutRay(Connection):
    """A connection that says when Ray would be started."""

    def cluster(self, meanwhile=""):
        raise RayNeededError
