"""Nodes that come and go: which of them count, and which have left in order. Without Ray."""

import socket

import pytest
import ray

from hw2tune.errors import ResourceError
from hw2tune.execution import nodes as module
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.nodes import CODE, READY, Nodes
from hw2tune.resources import Opening, ResourceRequest
from hw2tune.search.failures import Failure, FailurePolicy


class FakeRay:
    """Nodes, and the answers of those that were asked."""

    def __init__(self, monkeypatch) -> None:
        self.table, self.draining, self.asked, self.answers = [], {}, [], {}
        monkeypatch.setattr(ray, "nodes", lambda: self.table)
        monkeypatch.setattr(module.state, "get_draining_nodes", lambda: self.draining)
        monkeypatch.setattr(module, "_asking", self.asking)
        monkeypatch.setattr(module, "_fault", lambda answer: self.answers[answer])
        monkeypatch.setattr(ray, "wait", self.wait)
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

    def wait(self, asked, **_):
        done = [one for one in asked if one in self.answers]
        return done, [one for one in asked if one not in done]

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


@pytest.mark.parametrize("labels", [{}, {READY: "true"}])
def test_a_machine_that_was_mended_and_comes_back_counts(nodes, labels):
    cluster = opened(nodes)
    nodes.add(2)
    nodes.answers = {"answer of n2": "its Python has no torch"}
    assert [nodes.concurrency(cluster) for _ in range(2)] == [1, 1] and cluster.nodes.unsuitable
    nodes.end(2, reason=0)
    nodes.add(3, **labels)
    nodes.table[-1]["NodeManagerAddress"] = "10.0.0.2"
    nodes.answers = {"answer of n3": ""}
    nodes.concurrency(cluster)
    assert nodes.concurrency(cluster) == 2 and cluster.nodes.unsuitable == {}


def test_a_node_gets_no_trial_before_it_has_answered_and_is_named_if_it_never_does(nodes):
    cluster = opened(nodes)
    nodes.add(2)
    assert nodes.concurrency(cluster) == 1 and cluster.capacity().avoid == ("n2",)
    nodes.now += module.PATIENCE
    assert nodes.concurrency(cluster) == 1
    assert cluster.nodes.unsuitable == {"10.0.0.2": "it did not answer within 120 s"}


def test_able_are_the_machines_on_which_a_trial_fits_each_once(nodes):
    cluster = opened(nodes)
    for number in (2, 3, 4, 5):
        nodes.add(number, **{READY: "true"})
        nodes.table[-1]["Resources"] = {"CPU": 4.0}
    nodes.table[2]["NodeManagerAddress"] = "10.0.0.2"  # a second node of the same machine
    nodes.draining = {"n4": 0}
    cluster.nodes.unsuitable = {"10.0.0.5": "its Python has no torch"}
    cluster.resources = ResourceRequest(cpus_per_trial=2, concurrency=9, opening=Opening())
    cluster.nodes.look()
    cluster.nodes.unsuitable = {"10.0.0.5": "its Python has no torch"}
    assert cluster.able == {"10.0.0.2"}
    policy = FailurePolicy(retries=2)
    policy.in_a_row["10.0.0.2"] = {0: Failure(state="lost", reason="lost"), 1: Failure(state="lost", reason="lost")}
    assert policy.exclude(cluster.able) is None


def test_waiting_for_a_machine_ends_with_the_time(nodes, monkeypatch):
    def sleep(seconds: float) -> None:
        nodes.now += seconds

    monkeypatch.setattr("hw2tune.execution.cluster.time.sleep", sleep)
    cluster = opened(nodes)
    for others in ({"opening": Opening()}, {"address": "head:6379"}):
        cluster.resources, began = ResourceRequest(cpus_per_trial=3, **others), nodes.now
        cluster.until = began + 9
        with pytest.raises(ResourceError, match="a trial needs 3 CPUs"):
            cluster.capacity(at_most=True)
        assert 9 <= nodes.now - began < 12


def test_a_machine_answers_if_rays_process_there_takes_a_connection(nodes):
    nodes.add(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        nodes.table[0] |= {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": server.getsockname()[1]}
        cluster = Cluster(resources=ResourceRequest())
        assert cluster.answers("127.0.0.1") and not cluster.answers("10.0.0.9")
    assert not cluster.answers("127.0.0.1")  # killed, and still on Ray's list
