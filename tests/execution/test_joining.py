"""Machines that cannot join a study are told why; the token that lets others in is for its user alone. Without Ray."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import AuthenticationError
from ray.util import get_node_ip_address
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import PathError, ResourceError
from hw2tune.execution import attaching, joining
from hw2tune.execution.attaching import HEAD_PORT, token_in
from hw2tune.execution.joining import join
from hw2tune.execution.starting import _opened
from hw2tune.resources import Opening, ResourceRequest, find_capacity


@pytest.fixture
def token(tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text("a" * 64)
    return file


def leave(text: str) -> None:
    """End the command when it has joined, as Ctrl-C does: its handlers are in place then."""
    if text.startswith("joined"):
        os.kill(os.getpid(), signal.SIGTERM)


def refusal(address: str, token_file: Path) -> str:
    with pytest.raises(ResourceError) as refused:
        join(address, token_file, note=print)
    return str(refused.value)


def test_a_token_is_made_once_and_only_its_user_may_read_it(tmp_path):
    file = tmp_path / "new" / "token"
    made = token_in(file, make=True)
    assert re.fullmatch("[0-9a-f]{64}", made) and token_in(file) == token_in(file, make=True) == made
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.chmod(0o644)
    assert token_in(file) == made and file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_holds_no_token_is_refused(tmp_path):
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 20)
    for name, why in (
        ("none", "No such file or directory; name the file that `hw2tune study --open` has made, or a copy of it"),
        ("short", "a token is one word of 16 characters or more, but it has 6; remove it, and"),
        ("binary", "it is no text; name the file"),
    ):
        assert refusal("127.0.0.1:1", tmp_path / name).startswith(f"--token-file {tmp_path / name}: {why}")


def test_a_file_that_holds_no_token_keeps_its_mode(tmp_path):
    for content in ("remember the milk\n", "secret\n", "\xe9" * 20):
        (tmp_path / "notes.txt").write_text(content)
        (tmp_path / "notes.txt").chmod(0o664)
        refusal("127.0.0.1:1", tmp_path / "notes.txt")
        assert (tmp_path / "notes.txt").stat().st_mode & 0o777 == 0o664


def test_a_token_that_others_may_read_and_that_cannot_be_closed_is_refused(token, monkeypatch):
    def another_users(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    token.chmod(0o640)
    monkeypatch.setattr(Path, "chmod", another_users)
    assert refusal("127.0.0.1:1", token) == (
        f"--token-file {token}: others may read it (owner {token.owner()}, mode 640), and it cannot be closed to them "
        f"(Operation not permitted); make a copy with `install -m 600 {token} COPY`, and name that"
    )


def test_an_address_without_a_study_is_refused_with_what_to_look_at(token):
    assert refusal("somewhere", token) == "'somewhere' is no HOST:PORT; `hw2tune study --open` says which one"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        said = refusal(address, token)
    assert said.startswith(f"{address}: no study answers there (") and said.endswith(
        "); is `hw2tune study --open` still running, and does a firewall let its port through?"
    )


def test_a_port_of_another_program_is_refused_with_where_the_right_one_is_named(token, monkeypatch, capfd):
    for seconds in ("RAY_py_gcs_connect_timeout_s", "RAY_gcs_rpc_server_connect_timeout_s"):
        monkeypatch.setitem(attaching.BRIEFLY, seconds, "1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        begun = time.monotonic()
        said = refusal(address, token)
    assert said.startswith(f"{address}: what listens there is no Ray, or does not answer (Timed out while waiting")
    assert said.endswith("); give the HOST:PORT that `hw2tune study --open` has printed")
    assert time.monotonic() - begun < 20 and capfd.readouterr().err == ""
    assert not [name for name in attaching.BRIEFLY if name in os.environ]


def test_another_token_and_other_code_are_refused(token, tmp_path, monkeypatch):
    class Gcs:
        def __init__(self, address: str) -> None:
            if os.environ["RAY_AUTH_TOKEN"] != "a" * 64:
                raise AuthenticationError("InvalidAuthToken")

        def get_all_node_info(self, timeout: float) -> dict[str, object]:
            return {"1": type("Node", (), {"labels": {"hw2tune.code": "another"}})}

    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setattr(joining, "GcsClient", Gcs)
        (other := tmp_path / "other").write_text("b" * 64)
        assert refusal(address, other) == (
            f"{address}: wants another token than that in {other}; name the file that `hw2tune study --open` named"
        )
        assert refusal(address, token) == (
            f"{address}: runs other code of hw2tune than this machine has; install the same on both"
        )


@pytest.fixture
def node(monkeypatch) -> SimpleNamespace:
    """A node of Ray's in place of a real one, and what was drained."""
    node = SimpleNamespace(exit_code=None, drained=[])

    @contextlib.contextmanager
    def started(*arguments: object) -> Iterator[tuple[object, object]]:
        yield node, SimpleNamespace(poll=lambda: node.exit_code)

    monkeypatch.setattr(joining, "_node", started)
    monkeypatch.setattr(joining, "_drain", lambda *arguments: node.drained.append(arguments[2]))
    monkeypatch.setattr(joining, "STEP", 0.05)
    return node


@pytest.mark.parametrize(
    ("known", "alive", "given", "gpus_here", "refused"),
    [
        ("here", True, {}, 0, True),
        ("another network of this machine", True, {}, 0, True),
        ("elsewhere", True, {}, 1, False),
        ("here", False, {}, 1, False),
        ("here", True, {"cpus": 1}, 0, False),
        ("here", True, {"gpus": 0}, 1, True),
        ("here", True, {"cpus": 1}, 1, True),
        ("here", True, {"cpus": 1, "gpus": 0}, 1, False),
    ],
)
def test_a_machine_joins_with_all_that_it_has_only_once(
    token, node, monkeypatch, known, alive, given, gpus_here, refused
):
    at = {"here": "127.0.0.1", "elsewhere": "192.0.2.77", "another network of this machine": "192.0.2.9"}[known]
    described = SimpleNamespace(labels={"hw2tune.ready": "true"}, node_manager_address=at, state=0 if alive else 1)

    class Gcs:
        def __init__(self, address: str) -> None: ...

        def get_all_node_info(self, timeout: float) -> dict[str, object]:
            return {"1": described}

    networks = {"eth1": [SimpleNamespace(address="192.0.2.9")]}
    monkeypatch.setattr(joining.psutil, "net_if_addrs", lambda: networks)
    monkeypatch.setattr(joining, "this_machine", lambda: {"CPU": 4.0, "GPU": float(gpus_here)})
    monkeypatch.setattr(joining, "GcsClient", Gcs)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        address = f"127.0.0.1:{head.getsockname()[1]}"
        if refused:
            with pytest.raises(ResourceError) as why:
                join(address, token, note=print, **given)
            assert str(why.value) == (
                f"{address}: this machine is in the study already (at {at}), and its CPUs and GPUs would count twice; "
                "give `--cpus N --gpus N` for a part of it that nothing else uses, or wait if it was killed just now"
            )
        else:
            assert join(address, token, note=leave, **given) is joining.JoinEnd.INTERRUPTED


def test_a_python_without_torch_does_not_join(token, monkeypatch):
    monkeypatch.setattr(joining.importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    assert refusal("127.0.0.1:1", token) == "this Python has no torch, so no trial can run here; install it"


def test_an_open_ray_has_its_port_and_its_token_and_removes_only_a_file_of_its_own(token, tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path))
    with _opened(Opening()) as join_line:
        [file] = (tmp_path / "tokens").iterdir()
        assert os.environ["RAY_AUTH_TOKEN"] == file.read_text() and int(os.environ[HEAD_PORT]) > 0
        assert join_line("10.0.0.1:9") == f"others join with: hw2tune join 10.0.0.1:9 --token-file {file}"
    assert not file.exists() and HEAD_PORT not in os.environ
    with _opened(Opening(get_node_ip_address(), 0, token)):
        assert os.environ["RAY_AUTH_TOKEN"] == "a" * 64
    assert token.exists()


def test_a_token_file_is_not_made_in_a_folder_that_is_not_there(tmp_path, monkeypatch):
    file = tmp_path / "nosuch" / "dir" / "token"
    with pytest.raises(PathError) as refused:
        with _opened(Opening(token_file=file)):
            pass
    assert str(refused.value) == (
        f"--token-file {file}: {file.parent}: no such folder; look at how it is written, or make it"
    )
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    with _opened(Opening(token_file=Path("~/token"))) as join_line:
        assert join_line("lab1:9").endswith(f" --token-file {tmp_path}/token")
    assert token_in(tmp_path / "token")
    assert refusal("somewhere", Path("~/token")).startswith("'somewhere' is no HOST:PORT; ")


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_refused(token):
    here = get_node_ip_address()
    with socket.socket() as taken:
        taken.bind((here, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"^--port {re.escape(here)}:{port}: Address already in use; name a"):
            with _opened(Opening(here, port, token)):
                pass
    with pytest.raises(ResourceError, match=r"^--port 192\.0\.2\.77:\d+: Cannot assign requested address; name a free"):
        with _opened(Opening("192.0.2.77", 0, token)):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "localhost", "Localhost.localdomain", "::1", "[::1]"])
def test_a_port_that_other_machines_cannot_reach_is_refused_with_this_machines_address(token, host, monkeypatch):
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.2")
    with pytest.raises(ResourceError) as refused:
        with _opened(Opening(host, 28999, token)):
            pass
    assert str(refused.value) == (
        f"--port {host}:28999: must be at an address that other machines can reach, but got {host}; "
        f"use 192.0.2.2:28999, or leave {host} out"
    )


def test_a_machine_without_a_network_is_open_at_the_only_address_that_it_has(token, monkeypatch):
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "127.0.0.1")
    for host in ("127.0.0.1", "localhost"):
        with _opened(Opening(host, 0, token)) as join_line:
            assert join_line("127.0.0.1:9").startswith("others join with: hw2tune join 127.0.0.1:9 ")


def test_the_machines_own_name_is_taken_though_it_may_lead_to_loopback_here(token):
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        pytest.skip("this machine does not know its own name")
    with _opened(Opening(socket.gethostname(), 0, token)) as join_line:
        assert join_line("lab1:9").startswith("others join with: hw2tune join lab1:9 ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "6379"], "--port and --token-file go with --open"),
        (["--token-file", "t"], "--port and --token-file go with --open"),
        (["--open", "--address", "auto"], "--open is for a Ray that is started here"),
        (["--open", "--port", "70000"], "--port 70000: neither a port, 1 to 65535, nor HOST:PORT"),
        (["--open", "--port", "host:x"], "--port host:x: neither a port"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message, tmp_path):
    ended = CliRunner().invoke(app, ["study", "quickstart", "--results-dir", str(tmp_path), *options])
    assert ended.exit_code == 2 and message in " ".join(ended.output.replace("│", " ").split())


def test_a_machine_that_gives_no_processor_does_not_join_as_every_trial_needs_one(token, monkeypatch):
    monkeypatch.setattr(joining, "join", lambda *arguments, **options: joining.JoinEnd.CLUSTER_ENDED)
    for gpus in (["--gpus", "0"], ["--gpus", "1"], []):
        ended = CliRunner().invoke(app, ["join", "lab1:6379", "--token-file", str(token), "--cpus", "0", *gpus])
        said = " ".join(ended.output.replace("│", " ").split())
        assert ended.exit_code == 2 and said.endswith("'--cpus': Input should be greater than or equal to 1")
    with pytest.raises(ResourceError):
        find_capacity([{"CPU": 0.0, "GPU": 1.0}], ResourceRequest(cpus_per_trial=0.01))


@pytest.fixture
def fit(monkeypatch) -> None:
    """No look at the study's nodes."""
    monkeypatch.setattr(joining, "_refuse_unfit", lambda *arguments, **options: None)


def test_a_machine_whose_node_ends_although_the_study_runs_says_so(token, node, fit):
    node.exit_code = 1
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert refusal(address, token).startswith(
            f"{address}: this machine's node ended (exit code 1), though the study runs: was it cut off, or does a"
        )


def test_a_machine_leaves_when_the_study_has_ended_and_in_order_at_a_signal(token, node, fit, monkeypatch):
    monkeypatch.setattr(joining, "GONE", 0.2)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        address = f"127.0.0.1:{head.getsockname()[1]}"
        said: list[str] = []
        ended = join(address, token, note=lambda text: (said.append(text), leave(text)), cpus=4, gpus=1, grace=7)
        assert ended is joining.JoinEnd.INTERRUPTED and node.drained == [7]
        assert said == [
            f"joined {address} with 4 CPUs and 1 GPU; Ctrl-C takes this machine away",
            "leaving: trials here go on elsewhere from the end of their epoch, within 7 s",
        ]
        threading.Timer(0.5, head.close).start()
        assert join(address, token, note=print) is joining.JoinEnd.CLUSTER_ENDED and node.drained == [7]


def test_the_command_says_why_the_machine_left(token, monkeypatch):
    monkeypatch.setattr(joining, "join", lambda *arguments, **options: joining.JoinEnd.CLUSTER_ENDED)
    ended = CliRunner().invoke(app, ["join", "lab1:6379", "--token-file", str(token)])
    assert (ended.exit_code, ended.output) == (0, "left lab1:6379: the study has ended\n")
