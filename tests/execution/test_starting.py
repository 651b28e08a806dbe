"""The start of Ray on a busy machine: awaited while its processes live, with a line, and never for ever."""

import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import ray

from hw2tune.errors import ResourceError
from hw2tune.execution import starting
from hw2tune.execution.cluster import connected
from hw2tune.execution.workarounds import NO_AGENT, _awaiting_no_agent
from hw2tune.interrupt import ENDING, signals_wait
from hw2tune.resources import ResourceRequest

LOAD = r"\(load [\d.]+ on \d+ cores\)"


class SlowRay:
    """In place of Ray: a process of its called raylet, and a node that is not there at the first `late` questions.

    Each question takes 10 s of a clock that the test turns.
    """

    def __init__(self, patch, folder, late=0, exit_code=None):
        self.now, self.asked, self.late, self.code = 0.0, 0, late, exit_code
        self.raylets, self.starts = [], 0
        self.program = folder / "raylet"
        self.program.symlink_to(sys.executable)
        patch.setattr(ray, "init", self.init)
        patch.setattr(ray._private.services, "get_node", self.get_node)
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=lambda seconds: None)
        patch.setattr(starting, "time", clock)

    def get_node(self, *_):
        self.now, self.asked = self.now + 10, self.asked + 1
        if self.asked <= self.late:
            raise RuntimeError("GCS cannot find the node with node ID")
        return {}

    def init(self, *_, _temp_dir, **__):
        self.starts += 1
        code = "import time; time.sleep(60)" if self.code is None else f"raise SystemExit({self.code})"
        command = [str(self.program), "-c", code, _temp_dir]
        self.raylets.append(ray._private.services.ConsolePopen(command, preexec_fn=lambda: None))
        if self.code is not None:
            self.raylets[-1].wait()
        ray._private.services.get_node("127.0.0.1:1", "node")


@pytest.fixture
def slow_ray(monkeypatch, tmp_path):
    made = []

    def make(**options):
        made.append(SlowRay(monkeypatch, tmp_path, **options))
        return made[-1]

    yield make
    for raylet in (one for slow in made for one in slow.raylets):
        raylet.wait()


def test_a_slow_start_is_awaited_and_told_once(slow_ray):
    slow, notes = slow_ray(late=20), []
    with connected(ResourceRequest(), notes.append):
        assert slow.starts == 1 and slow.now == 210
    [told] = notes
    assert re.fullmatch(f"Ray's raylet has not answered for 10 s {LOAD}; waiting up to 300 s", told)
    assert not psutil.pid_exists(slow.raylets[0].pid)


def test_a_start_ends_after_five_minutes_and_so_does_its_process(slow_ray):
    slow = slow_ray(late=10**6)
    with pytest.raises(ResourceError) as refused, connected(ResourceRequest()):
        pass
    [raylet] = slow.raylets
    assert re.fullmatch(
        rf"Ray did not start within 300 s: its raylet \(process {raylet.pid}\) runs and does not answer, as this "
        rf"machine is too busy {LOAD}; end what else runs here, and run the same command again: finished work is kept",
        str(refused.value),
    )
    assert slow.starts == 1 and slow.now == 310 and not psutil.pid_exists(raylet.pid)


def test_a_ray_that_dies_as_it_starts_is_started_once_more(slow_ray):
    slow, notes = slow_ray(late=10**6, exit_code=7), []
    with pytest.raises(ResourceError) as refused, connected(ResourceRequest(), notes.append):
        pass
    [told] = notes
    assert re.fullmatch(f"Ray did not start: its raylet ended with exit code 7 {LOAD}; it is started once more", told)
    assert re.fullmatch(
        f"Ray did not start, twice: its raylet ended with exit code 7 {LOAD}; `hw2tune doctor` looks at this machine's "
        "memory and disks, then run the same command again: finished work is kept",
        str(refused.value),
    )
    assert slow.starts == 2 and slow.now == 20  # it is not awaited


def test_a_signal_ends_the_wait(slow_ray, monkeypatch):
    slow = slow_ray(late=3)
    ask = slow.get_node
    monkeypatch.setattr(ray._private.services, "get_node", lambda *_: (signal.raise_signal(signal.SIGTERM), ask())[1])
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), connected(ResourceRequest()):
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert slow.asked == 1 and not psutil.pid_exists(slow.raylets[0].pid)


def test_signals_that_wait_are_let_through_to_the_handler_in_place():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with signals_wait() as let_through:
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
            let_through()
            assert heard == [signal.SIGTERM]
            signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGTERM]
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_raylet_waits_for_no_agent():
    command = [
        "/ray/raylet", "--head", "--metrics-agent-port=0", "--metrics_export_port=0", "--runtime_env_agent_port=0",
        "--dashboard_agent_command=python agent.py --grpc-port=0",
        "--runtime_env_agent_command=python main.py --runtime-env-agent-port=0 --node-id=1",
    ]  # fmt: skip
    words = dict(word.partition("=")[::2] for word in _awaiting_no_agent(command))
    port = int(words["--runtime_env_agent_port"])
    assert 10_000 <= port < 32_768, "nobody gets it who asks for any port"
    assert words == {
        "/ray/raylet": "", "--head": "", "--metrics-agent-port": "-1", "--metrics_export_port": "-1",
        "--dashboard_agent_listen_port": "-1", "--runtime_env_agent_port": str(port),
        "--dashboard_agent_command": f"{sys.executable} -ISc open(0).read()",
        "--runtime_env_agent_command": f"python main.py --runtime-env-agent-port={port} --node-id=1",
    }  # fmt: skip
    assert _awaiting_no_agent(["/ray/gcs_server", "--metrics-agent-port=0"]) == [
        "/ray/gcs_server", "--metrics-agent-port=0",
    ]  # fmt: skip


def test_what_stands_in_for_the_agent_outlives_signals_to_everybody_and_ends_with_its_input():
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        agent = subprocess.Popen([*NO_AGENT, "--agent-id=1"], stdin=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    assert agent.stdin is not None
    time.sleep(0.3)  # a shell lets signals through as it begins
    for number in ENDING:
        agent.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        agent.wait(0.3)
    agent.stdin.close()
    assert agent.wait(10) == 0
