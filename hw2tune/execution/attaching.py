"""The way to a running Ray cluster: its address, the token it wants, and in one line why it could not be attached to.

The typed address counts, and Ray's own variables only for `auto`. A Ray that is started here gets a token of its own,
a running cluster the user's. Ray 2.60 reads mode and token once a process and keeps both; here they are read anew for
each connection.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from hw2tune.errors import ResourceError
from hw2tune.text.plain import first_line

RAY_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
HEAD_PORT = "RAY_GCS_SERVER_PORT"  # of a head that is started
BRIEFLY = {"RAY_py_gcs_connect_timeout_s": "5"}  # for 30, which Ray 2.60 waits after two attempts of 5 seconds each


@contextlib.contextmanager
def without_ray_address() -> Iterator[str]:
    """For the length of a `with`, Ray finds no address in the environment: it would take it before the one given.

    Yields the RAY_ADDRESS that was there, or nothing.
    """
    with _variables(dict.fromkeys(RAY_VARIABLES)) as before:
        yield before["RAY_ADDRESS"] or ""


def reached(typed: str, named: str) -> tuple[str, str]:
    """Address of the cluster's head, as host:port, and its name in messages.

    `auto` is what RAY_ADDRESS has `named`, if anything. Raises ResourceError at once where nothing listens: Ray 2.60
    itself goes on trying for many minutes.
    """
    from ray._private.services import canonicalize_bootstrap_address

    by_name = typed == "auto" and named not in ("", "auto")
    address, shown = (named, f"auto (RAY_ADDRESS={named})") if by_name else (typed, typed)
    if by_name and named == "local":
        raise ResourceError(
            f"--address {shown}: RAY_ADDRESS names no cluster; unset it, or give host:port of the cluster's head"
        )
    if address.startswith("ray://"):
        raise ResourceError(
            f"--address {shown}: Ray Client cannot run a study; use --address auto on a machine of the cluster, "
            "host:port of its head (6379), or http://host:8265 to hand the command over"
        )
    if "://" in address:
        raise ResourceError(
            f"--address {shown}: only `hw2tune study` is handed over to a job server; use --address auto on a "
            "machine of the cluster, or host:port of its head (6379)"
        )
    try:
        host, _, port = (canonicalize_bootstrap_address(address) or "").rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise connection_error(shown, str(error)) from None
    return f"{host}:{port}", shown


def answers(address: str, seconds: float = 5.0) -> bool:
    """Return whether anything listens at host:port."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), timeout=seconds).close()
        return True
    return False


@contextlib.contextmanager
def own_token(token: str = "", port: int | None = None) -> Iterator[None]:
    """For a Ray that is started here, or joined by this machine: with this token, at this `port` if it is a head.

    Without a token it gets a new one and is closed to others: nothing is left on disk nor has to be there.
    """
    at = None if port is None else str(port)
    with _variables({MODE: "token", TOKEN: token or secrets.token_hex(32), HEAD_PORT: at}):
        yield


def token_in(file: Path, *, make: bool = False) -> str:
    """The token in a file, which is closed to other users, and made where `make`. Raises ResourceError."""
    try:
        if make:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(made, "w") as content:
                    content.write(secrets.token_hex(32))
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ResourceError(
            f"--token-file {file}: {why}; name the file that `hw2tune study --open` has made, or a copy of it"
        ) from error
    if not re.fullmatch(r"\S{16,}", token):
        raise ResourceError(
            f"--token-file {file}: a token is one word of 16 characters or more, but it has {len(token)}; remove it, "
            "and `hw2tune study --open` makes another"
        )
    _close(file)
    return token


def _close(file: Path) -> None:
    """Close a file of a token to other users. Raises ResourceError if it is not ours to close."""
    if not (mode := file.stat().st_mode & 0o777) & 0o077:
        return
    try:
        file.chmod(0o600)
    except OSError as error:
        try:
            owner = file.owner()
        except KeyError:  # a number without a name here
            owner = str(file.stat().st_uid)
        raise ResourceError(
            f"--token-file {file}: others may read it (owner {owner}, mode {mode:o}), and it cannot be closed to them "
            f"({error.strerror}); make a copy with `install -m 600 {file} COPY`, and name that"
        ) from error


@contextlib.contextmanager
def users_token(mode: str | None = None) -> Iterator[None]:
    """For a Ray that runs: with the user's token, in the `mode` that it wants, by default `token` if there is one."""
    with contextlib.suppress(OSError):  # no file, or another user's
        if _token_file().stat().st_mode & 0o077:  # Ray 2.60 leaves the file that it makes readable to everybody
            _token_file().chmod(0o600)
    with _variables({MODE: mode or ("token" if _has_token() else "disabled")}):
        yield


def wanted_mode(address: str, shown: str) -> str:
    """`disabled` for a cluster that asks nobody for a token, `token` for one that takes ours. Raises ResourceError.

    `address` is host:port. Ray 2.60 itself goes by its variables alone: a token sent to a cluster that has none ends
    each of its workers without a word; a wrong one, and none where one is wanted, are tried for half a minute and more
    and then told as no connection.
    """
    for mode in ["disabled", "token"] if _has_token() else ["disabled"]:
        with users_token(mode):
            if lets_in(address):
                return mode
    raise token_refused(shown, here=_has_token())


def lets_in(address: str) -> bool:
    """Return whether the cluster at host:port takes the token in the environment, or none where there is none."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled, without stubs
    from ray.exceptions import AuthenticationError

    try:
        with one_question():
            GcsClient(address=address).internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=5)
    except AuthenticationError:
        return False
    except Exception:  # whatever else is wrong, `ray.init` says it better
        return True
    return True


@contextlib.contextmanager
def one_question() -> Iterator[None]:
    """For the length of a `with`, Ray's client tells the terminal nothing, and soon gives up where no Ray answers."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # Ray's C++ tells the terminal first
    try:
        with _variables({name: os.environ.get(name, seconds) for name, seconds in BRIEFLY.items()}):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _has_token() -> bool:
    return bool(os.environ.get(TOKEN)) or _token_file().is_file()


def _token_file() -> Path:
    return Path(os.environ.get(TOKEN_PATH) or "~/.ray/auth_token").expanduser()


@contextlib.contextmanager
def _variables(values: dict[str, str | None]) -> Iterator[dict[str, str | None]]:
    """For the length of a `with`, environment variables have these values, or are not set. Yields those before.

    Ray reads them anew as in its own tests between two clusters (ray/_private/authentication_test_utils.py).
    """
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # compiled, without stubs

    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    try:
        yield before
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def connection_error(address: str, said: str, option: str = "--address ") -> ResourceError:
    """Ray's own text, `said`, as an error that a user can act on; `option` is what the address was given to."""
    mismatch = re.search(r"cluster was started with:\s*Ray: (\S+)\s*Python: (\S+)", said)
    if mismatch:
        return ResourceError(
            f"{option}{address}: the cluster runs Ray {mismatch[1]} on Python {mismatch[2]}, this is Ray "
            f"{metadata.version('ray')} on Python {platform.python_version()}; use the cluster's versions here "
            f"(uv run --python {mismatch[2]} --with ray=={mismatch[1]} ...), or these on the cluster"
        )
    if re.search("token|unauthenticated|authentication", said, re.IGNORECASE):
        return token_refused(address, here=True)
    return ResourceError(
        f"{option}{address}: no Ray cluster could be reached ({first_line(said, 'no reason given')}); is it running "
        "(`ray start --head`), and does this user have its token in RAY_AUTH_TOKEN or ~/.ray/auth_token?"
    )


def token_refused(address: str, *, here: bool) -> ResourceError:
    """The error of a cluster that wants a token: another than the one that is `here`, or one at all."""
    wants = "a token that is not the one here" if here else "a token, and there is none here"
    return ResourceError(
        f"--address {address}: the cluster wants {wants}; put its token into RAY_AUTH_TOKEN, or name its file in "
        "RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token)"
    )
