"""The dashboard's web server: on loopback, silent, for the length of a `with`."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from hw2tune.errors import DashboardError
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.interrupt import start_deaf_thread
from hw2tune.loggers import optuna_silenced, silenced

HOST = "127.0.0.1"
REFUSAL = (
    "This dashboard shows studies and changes none: `hw2tune study` runs them, `hw2tune status` tells where they are."
)

Application = Callable[..., Iterable[bytes]]


@contextlib.contextmanager
def serving(folders: ShownFolders, *, port: int = 0) -> Iterator[str]:
    """Serve studies with optuna-dashboard while the `with` lasts, and yield the URL; `port` 0 takes a free port.

    Later studies are shown too. Raises DashboardError.
    """
    refuse_missing()
    try:
        server = _Server((HOST, port), _SilentHandler)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DashboardError(
            f"--port {port}: cannot be listened on at {HOST} ({why}); without --port a free one is taken"
        ) from None
    with server, optuna_silenced(), silenced("optuna_dashboard"):
        server.set_app(_application(folders))
        start_deaf_thread(lambda: server.serve_forever(poll_interval=0.1))
        try:
            yield f"http://{HOST}:{server.server_port}/dashboard"
        finally:
            server.shutdown()


def refuse_missing() -> None:
    """Raise DashboardError if optuna-dashboard is not installed."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise DashboardError(
            "the dashboard needs a package that is not here: pip install '.[dashboard]' in hw2tune's checkout"
        )


def _application(folders: ShownFolders) -> Application:
    """Return a WSGI application over copies of the studies, which refuses to change a study.

    It answers under this machine's own names alone. The first request imports it: it costs a running study nothing.
    """
    lock = threading.Lock()

    @functools.cache
    def dashboard() -> Application:
        from optuna_dashboard import wsgi

        application: Application = wsgi(folders.storage)
        return application

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        known = environ.get("HTTP_HOST", HOST).split(":")[0] in (HOST, "localhost")
        if known and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            with lock:
                folders()
                application = dashboard()
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps({"reason": REFUSAL if known else f"ask for {HOST} or localhost"}).encode()]

    return answer


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A browser keeps connections open that it asks nothing on: each has a thread."""

    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # not HTTPServer's, which asks a name server for the address
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away is nothing to tell."""


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return None

    def get_stderr(self) -> TextIO:
        return io.StringIO()
