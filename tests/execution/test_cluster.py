"""Clusters that cannot be used are refused in words, at once."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import ray

from hw2tune.errors import RayFailedError, ResourceError
from hw2tune.execution.attaching import users_token
from hw2tune.execution.cluster import connected
from hw2tune.execution.nodes import unsuitable_nodes
from hw2tune.execution.workarounds import NO_AGENT
from hw2tune.resources import ResourceRequest


def connection_error(address: str | None) -> str:
    with pytest.raises(ResourceError) as refused:
        with connected(ResourceRequest(address=address)):
            pass
    return str(refused.value)


@pytest.mark.parametrize("address", [None, "127.0.0.1:6379"])
def test_a_ray_that_the_caller_has_started_is_left_alone(monkeypatch, address):
    ended = []
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("the caller's Ray"))
    assert connection_error(address) == (
        "Ray runs in this process already; run `ray.shutdown()` first, or use address='auto'"
    )
    assert ended == []


def test_a_ray_that_the_caller_has_started_is_used_with_auto_and_goes_on(monkeypatch):
    ended = []
    node = {"Alive": True, "NodeID": "1", "NodeManagerAddress": "10.0.0.1", "Resources": {"CPU": 3.0}}
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [node])
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("the caller's Ray"))
    monkeypatch.setattr("hw2tune.execution.nodes.unsuitable_nodes", lambda nodes: {})
    monkeypatch.setattr("hw2tune.execution.nodes.state.get_draining_nodes", dict)
    with connected(ResourceRequest(address="auto")) as cluster:
        assert cluster.capacity().concurrency == 3
    assert ended == []


def test_a_node_without_hw2tune_is_named_before_a_trial_fails_there(monkeypatch):
    found, there = importlib.util.find_spec, []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "hw2tune" else found(name))
    task = SimpleNamespace(options=lambda scheduling_strategy: task, remote=lambda: tuple(there[0]()))
    monkeypatch.setattr(ray, "remote", lambda **options: lambda function: there.append(function) or task)
    monkeypatch.setattr(ray, "wait", lambda answers, **options: (answers, []))
    monkeypatch.setattr(ray, "get", list)
    with pytest.raises(ResourceError, match=r"can run a trial \(10\.0\.0\.1: its Python has no hw2tune\); install"):
        unsuitable_nodes([{"NodeID": "1" * 56, "NodeManagerAddress": "10.0.0.1"}])


def test_a_second_run_in_one_process_is_refused_and_the_first_goes_on(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr("hw2tune.execution.nodes.unsuitable_nodes", lambda nodes: {})
    monkeypatch.setattr(ray, "nodes", list)
    for _ in range(2):
        with connected(ResourceRequest(address="auto")):
            assert connection_error("auto") == (
                "hw2tune runs in this process already, and a process has one Ray; wait for that run, or use another "
                "process"
            )


def test_a_second_ctrl_c_while_ray_shuts_down_leaves_neither_its_processes_nor_the_folder(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ray.init", lambda *arguments, **options: None)
    monkeypatch.setattr("ray.shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt), connected(ResourceRequest()) as cluster:
        asleep = [sys.executable, "-c", "import time; time.sleep(30)", str(cluster.scratch)]
        process = subprocess.Popen(asleep)
    ended = not psutil.pid_exists(process.pid)
    process.wait()
    assert ended and not cluster.scratch.exists()


def test_an_error_of_rays_is_told_as_rays(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr("hw2tune.execution.nodes.unsuitable_nodes", lambda nodes: {})
    monkeypatch.setattr(ray, "nodes", list)
    with pytest.raises(RayFailedError) as failed, connected(ResourceRequest(address="auto")):
        raise ray.exceptions.RaySystemError("the store is full")
    assert str(failed.value).startswith("Ray failed with RaySystemError: ")
    assert str(failed.value).endswith("the store is full; what is finished is kept, run the same command again")


def test_ray_client_is_refused_with_the_alternative():
    assert connection_error("ray://127.0.0.1:10001") == (
        "--address ray://127.0.0.1:10001: Ray Client cannot run a study; use --address auto on a machine of the "
        "cluster, host:port of its head (6379), or http://host:8265 to hand the command over"
    )


def test_a_job_server_takes_no_other_command():
    assert connection_error("http://127.0.0.1:8265") == (
        "--address http://127.0.0.1:8265: only `hw2tune study` is handed over to a job server; use --address auto on "
        "a machine of the cluster, or host:port of its head (6379)"
    )


def test_a_port_where_nothing_listens_is_refused_with_what_to_look_at():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        message = connection_error(address)
    assert message.startswith(f"--address {address}: no Ray cluster could be reached (")
    assert "); is it running (`ray start --head`), and does this user have its token in RAY_AUTH_TOKEN" in message


def test_a_token_file_that_others_can_read_is_closed_to_them(tmp_path, monkeypatch):
    token = tmp_path / "auth_token"
    token.write_text("0" * 64)
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with users_token():
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert token.stat().st_mode & 0o777 == 0o600


def test_auto_takes_what_ray_address_names_and_says_so(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    assert connection_error("auto").startswith(
        "--address auto (RAY_ADDRESS=http://127.0.0.1:8265): only `hw2tune study` is handed over to a job server; "
    )
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert connection_error("auto").startswith(
        "--address auto (RAY_ADDRESS=127.0.0.1:1): no Ray cluster could be reached ("
    )
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert connection_error("auto") == (
        "--address auto (RAY_ADDRESS=local): RAY_ADDRESS names no cluster; unset it, or give host:port of the "
        "cluster's head"
    )


def test_an_address_that_is_typed_counts_whatever_ray_address_says(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://elsewhere:10001")
    assert connection_error("127.0.0.1:1").startswith("--address 127.0.0.1:1: no Ray cluster could be reached (")
    assert os.environ["RAY_ADDRESS"] == "ray://elsewhere:10001"


LOCAL = """
import contextlib, json, sys
from pathlib import Path
import psutil
from hw2tune.execution.cluster import connected
from hw2tune.execution.trainable import INLINE
from hw2tune.resources import ResourceRequest

with connected(ResourceRequest()):
    import ray
    started = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            started += [Path(word).name for word in (child.name(), *child.cmdline())]
    imported = ray.get(ray.remote(lambda: list(sys.modules)).remote())
    answer = ray.remote(lambda: bytes(INLINE)).remote()
    ray.get(answer)
    stored = ray.experimental.get_object_locations([answer])[answer]["node_ids"]
print(json.dumps([started, imported, stored]))
"""


@pytest.mark.matrix
@pytest.mark.ray
def test_a_local_ray_has_no_servers_and_its_idle_workers_have_imported_what_trials_need():
    # A process of its own: Ray reads its token once a process.
    shown = subprocess.run([sys.executable, "-c", LOCAL], check=True, stdout=subprocess.PIPE, text=True)
    started, imported, stored = map(set, json.loads(shown.stdout.splitlines()[-1]))
    assert {"gcs_server", "raylet"} <= started
    assert not started & {"dashboard.py", "monitor.py", "log_monitor.py", "ray::DashboardAgent"}
    assert NO_AGENT[-1] in started
    assert {"torch", "hw2tune.train.trainer", "hw2tune.execution.trainable"} <= imported
    assert not stored, "what a trial reports would be lost with its node, and Ray Tune end with it"


RESERVED = """
import contextlib, os, time
import psutil
from hw2tune.execution.cluster import connected
from hw2tune.resources import ResourceRequest

def idle():
    found = set()
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {one.pid} if one.name().startswith("ray::IDLE") else set()
    return found

with connected(ResourceRequest()):
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as InGroup

    @ray.remote(num_cpus=1)
    class Trial:
        def pid(self):
            return os.getpid()

    processors = int(ray.cluster_resources()["CPU"])
    while len(started := idle()) < processors:
        time.sleep(0.1)
    slots = [placement_group([{"CPU": 1}]) for _ in range(processors)]
    assert all(slot.wait(30) for slot in slots)
    time.sleep(2)
    trials = [Trial.options(scheduling_strategy=InGroup(slot)).remote() for slot in slots]
    print(set(ray.get([trial.pid.remote() for trial in trials])) <= started)
"""


@pytest.mark.matrix
@pytest.mark.ray
def test_trials_get_the_workers_that_have_started_though_tune_reserves_the_processors_first():
    shown = subprocess.run([sys.executable, "-c", RESERVED], check=True, stdout=subprocess.PIPE, text=True, timeout=180)
    assert shown.stdout.splitlines()[-1] == "True"


HANDLED = """
import os, signal
from hw2tune.execution.cluster import connected
from hw2tune.resources import ResourceRequest

signal.signal(signal.SIGTERM, lambda *_: print("heard"))
with connected(ResourceRequest()):
    os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)  # a report is drawn then, or the last records pushed
"""


@pytest.mark.matrix
@pytest.mark.ray
def test_a_signal_reaches_the_handler_that_was_there_during_ray_and_after_it():
    shown = subprocess.run([sys.executable, "-c", HANDLED], check=True, stdout=subprocess.PIPE, text=True)
    assert shown.stdout == "heard\nheard\n"


def test_another_fault_of_rays_start_is_not_tried_again(monkeypatch):
    starts = []

    def wrong(*_, **__):
        starts.append(1)
        raise ValueError("no such option")

    monkeypatch.setattr("ray.init", wrong)
    with pytest.raises(ValueError, match="no such option"), connected(ResourceRequest()):
        pass
    assert len(starts) == 1
