"""A page that stays up to date: built again when records change, served on this machine alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from paribus.errors import UserError
from paribus.report.page.render import Live

HOSTS = ("127.0.0.1", "localhost")


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
            def do_GET(self) -> None:
                watcher._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass  # two lines a second of what the user knows

        try:
            self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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
            return request.send_error(403, "Only for this machine")
        if request.path == "/":
            kind, body = "text/html; charset=utf-8", self.now.html
        elif request.path == "/progress":
            live = self.now.live
            news = {"done": live.done, "total": live.total, "text": live.text, "version": live.version}
            kind, body = "application/json", json.dumps(news)
        else:
            return request.send_error(404, "There are / and /progress")
        content = body.encode()
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Cache-Control", "no-store")
        request.end_headers()
        request.wfile.write(content)
