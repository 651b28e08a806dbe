"""Nodes that come and go: which of them count, and which have left in order. Without Ray."""

import pytest
import ray

from hw2tune.errors import ResourceError
from hw2tune.execution import nodes as module
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.nodes import CODE, READY, Nodes
from hw2tune.resources import Opening, ResourceRequest


class FakeRay:
    """Nodes, and the answers of those that were asked."""

    def __init__(self, monkeypatch) -> None:
        self.table, self.draining, self.asked, self.answers = [], {}, [], {}
        monkeypatch.setattr(ray, "nodes", lambda: self.table)
        monkeypatch.setattr(module.state, "get_draining_nodes", lambda: self.draining)
        monkeypatch.setattr(module, "_asking", self.asking)
        monkeypatch.setattr(module, "_fault", lambda answer: self.answers[answer])
        monkeypatch.setattr(ray, "wait", lambda asked, **_: ([one for one in asked if one in self.answers], []))
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.now = 1000.0

    def add(self, number: int, **labels: str) -> None:
        self.table.append({
            "NodeID": f"n{number}", "NodeManagerAddress": f"10.0.0.{number}", "Alive": True, "DeathReason": 0,
            "Resources": {"CPU": 1.0}, "Labels": labels,
        })  # fmt: skip

    def end(self, number: int, reason: int) -> None:
        self.table[number - 1] |= {"Alive": False, "DeathReason": reason}

    def asking(self, nodes):
        self.asked += [node["NodeID"] for node in nodes]
        return {f"answer of {node['NodeID']}": node for node in nodes}

    def concurrency(self, cluster: Cluster) -> int:
        self.now += module.EVERY
        return cluster.capacity().concurrency


@pytest.fixture
def nodes(monkeypatch) -> FakeRay:
    return FakeRay(monkeypatch)


def opened(nodes: FakeRay) -> Cluster:
    nodes.add(1, **{CODE: "digest"})
    return Cluster(resources=ResourceRequest(opening=Opening()), nodes=Nodes(changing=True))


def test_a_machine_that_joins_by_our_command_counts_at_once(nodes):
    cluster = opened(nodes)
    nodes.add(2, **{READY: "true"})
    assert nodes.concurrency(cluster) == 2 and nodes.asked == []


def test_another_node_counts_once_it_has_answered_and_lacks_nothing(nodes):
    cluster = opened(nodes)
    nodes.add(2)
    nodes.add(3)
    assert nodes.concurrency(cluster) == 1 and nodes.asked == ["n2", "n3"]
    nodes.answers = {"answer of n2": "", "answer of n3": "its Python has no torch"}
    assert nodes.concurrency(cluster) == 2 and nodes.asked == ["n2", "n3"]
    assert cluster.nodes.unsuitable == {"10.0.0.3": "its Python has no torch"}
    assert cluster.capacity().avoid == ("n3",)


def test_a_machine_that_leaves_or_is_gone_counts_no_longer(nodes):
    cluster = opened(nodes)
    nodes.add(2, **{READY: "true"})
    nodes.add(3, **{READY: "true"})
    assert nodes.concurrency(cluster) == 3
    nodes.draining = {"n2": 0}
    nodes.end(3, reason=2)
    assert nodes.concurrency(cluster) == 1
    assert cluster.nodes.left_in_order("n2") and not cluster.nodes.left_in_order("n3")
    nodes.draining = {}
    nodes.end(2, reason=3)  # drained
    assert cluster.nodes.left_in_order("n2") and not cluster.nodes.left_in_order("")


def test_the_cluster_is_asked_at_most_every_two_seconds(nodes):
    cluster = opened(nodes)
    assert nodes.concurrency(cluster) == 1
    nodes.add(2, **{READY: "true"})
    nodes.now += module.EVERY / 2
    assert cluster.capacity().concurrency == 1
    nodes.now += module.EVERY / 2
    assert cluster.capacity().concurrency == 2


def test_a_ray_that_nobody_joins_is_not_asked_for_its_packages(nodes):
    nodes.add(1)
    assert Cluster(resources=ResourceRequest()).capacity().concurrency == 1
    assert nodes.asked == []


def test_a_trial_that_fits_nowhere_yet_waits_for_a_machine_if_one_may_join(nodes, monkeypatch):
    waited = []

    def join(seconds: float) -> None:
        waited.append(seconds)
        nodes.now += seconds
        nodes.add(len(nodes.table) + 1, **{READY: "true"})
        nodes.table[-1]["Resources"] = {"CPU": float(len(nodes.table))}

    monkeypatch.setattr("hw2tune.execution.cluster.time.sleep", join)
    cluster = opened(nodes)
    cluster.resources, said = ResourceRequest(cpus_per_trial=3, opening=Opening()), []
    cluster.note = said.append
    with pytest.raises(ResourceError, match="a trial needs 3 CPUs"):
        cluster.capacity_now()
    assert cluster.capacity().concurrency == 1 and waited == [module.EVERY] * 2
    assert said == [
        "waiting for a machine to join: a trial needs 3 CPUs and 0 GPUs on one node, but there are 1 CPUs and 0 GPUs "
        "on 1 node"
    ]
    alone = Cluster(resources=ResourceRequest(cpus_per_trial=9))
    with pytest.raises(ResourceError, match="a trial needs 9 CPUs"):
        alone.capacity()
