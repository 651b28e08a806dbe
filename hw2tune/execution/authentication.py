"""How this process signs in to a Ray: with a token of its own where it starts one, with the user's where it attaches.

Ray 2.60 reads mode and token once a process and keeps both; here they are read anew for each connection.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hw2tune.execution.connection_errors import token_refused

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


@contextlib.contextmanager
def own_token() -> Iterator[None]:
    """For a Ray that is started here: closed to others, and nothing is left on disk nor has to be there."""
    with _variables({MODE: "token", TOKEN: secrets.token_hex(32)}):
        yield


@contextlib.contextmanager
def users_token(mode: str | None = None) -> Iterator[None]:
    """For a Ray that runs: with the user's token, in the `mode` that it wants, by default `token` if there is one."""
    _keep_private(token_file())
    with _variables({MODE: mode or ("token" if has_token() else "disabled")}):
        yield


def wanted_mode(address: str, shown: str) -> str:
    """`disabled` for a cluster that asks nobody for a token, `token` for one that takes ours. Raises ResourceError.

    `address` is host:port. Ray 2.60 itself goes by its variables alone: a token sent to a cluster that has none ends
    each of its workers without a word, and a wrong one is tried for a minute.
    """
    for mode in ["disabled", "token"] if has_token() else ["disabled"]:
        with users_token(mode):
            if _lets_in(address):
                return mode
    raise token_refused(shown, here=has_token())


def _lets_in(address: str) -> bool:
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled, without stubs
    from ray.exceptions import AuthenticationError

    with silent_stderr():  # Ray's C++ tells the terminal first
        try:
            GcsClient(address=address).internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=5)
        except AuthenticationError:
            return False
        except Exception:  # whatever else is wrong, `ray.init` says it better
            return True
    return True


def has_token() -> bool:
    """Whether this user has a token for clusters."""
    return bool(os.environ.get(TOKEN)) or token_file().is_file()


def token_file() -> Path:
    """Where Ray looks for the user's token."""
    return Path(os.environ.get(TOKEN_PATH) or "~/.ray/auth_token").expanduser()


def _keep_private(token: Path) -> None:
    """Ray 2.60 leaves the token file that it makes readable to everybody."""
    with contextlib.suppress(OSError):  # no file, or another user's
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _read_anew()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read_anew() -> None:
    """As Ray's own tests do between two clusters (ray/_private/authentication_test_utils.py)."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # compiled, without stubs

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """For the length of a `with`, file descriptor 2 writes nowhere."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
