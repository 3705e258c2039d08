"""A page that stays up to date: built again when records change, served on this machine alone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from paribus.base.errors import UserError
from paribus.report.page.render import Live

HOSTS = ("127.0.0.1", "localhost")
REQUEST_SECONDS = 10.0  # from the first byte of a connection to the last
AT_ONCE = 32  # connections


class Server(ThreadingHTTPServer):
    """A thread for each connection, of which no more than AT_ONCE are open and none for longer than REQUEST_SECONDS:
    who connects and says nothing, or a letter now and then, holds up nobody else."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]):
        self.open: dict[Any, float] = {}  # connection -> when its time is up
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self.open) >= AT_ONCE:
            return self.shutdown_request(request)
        self.open[request] = time.monotonic() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second."""
        for request, until in list(self.open.items()):
            if time.monotonic() > until:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away in the middle of an answer


@dataclass(frozen=True)
class Built:
    """A page, and how far the ablation was when it was built."""

    html: str
    live: Live


class Watcher:
    """Serves the newest page at / and its progress at /progress, on the loopback interface.

    build: makes the page from the records as they are. changed: a value that differs once the page is out of date.
    port: 0 for a free one. every: seconds between looks at the records; after a build that took longer, five times
    as long as that, so that watching never takes more than a fifth of a core from the training.

    Raises UserError where the port is taken.
    """

    def __init__(self, build: Callable[[], Built], changed: Callable[[], object], port: int, every: float = 2.0):
        self._build, self._changed, self._every = build, changed, every
        self._stopped = threading.Event()
        self._seen = changed()
        started = time.monotonic()
        self.now = build()
        self._took = time.monotonic() - started
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS
            server_version = sys_version = ""
            error_message_format = "%(code)d %(message)s\n"
            error_content_type = "text/plain"

            def do_GET(self) -> None:
                watcher._answer(self)

            def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
                super().send_error(code)  # without the words of who asks

            def log_message(self, format: str, *args: object) -> None:
                pass  # two lines a second of what the user knows

        try:
            self.server = Server(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UserError(f"port {port} can't be served: {error.strerror}. Choose another with --port") from error

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def run(self) -> None:
        """Until interrupted."""
        serving = threading.Thread(target=self.server.serve_forever, daemon=True)
        serving.start()
        try:
            while not self._stopped.wait(max(self._every, 5 * self._took)):
                self.refresh()
        finally:
            self.server.shutdown()
            self.server.server_close()

    def stop(self) -> None:
        self._stopped.set()

    def refresh(self) -> None:
        """Build the page again if the records have changed. A mistake that they hold is told in the page."""
        seen = self._changed()
        if seen == self._seen:
            return
        started = time.monotonic()
        try:
            self.now = self._build()
        except UserError as error:
            live = self.now.live
            self.now = Built(self.now.html, Live(live.done, live.total, f"can't be shown: {error}", live.version))
        self._seen = seen
        self._took = time.monotonic() - started

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        # A page of another site that has its name point here could read ours.
        if (request.headers.get("Host") or "").rpartition(":")[0] not in HOSTS:
            return request.send_error(403)
        if request.path == "/":
            kind, body = "text/html; charset=utf-8", self.now.html
        elif request.path == "/progress":
            live = self.now.live
            news = {"done": live.done, "total": live.total, "text": live.text, "version": live.version}
            kind, body = "application/json", json.dumps(news)
        else:
            return request.send_error(404)
        content = body.encode()
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Cache-Control", "no-store")
        request.end_headers()
        request.wfile.write(content)
