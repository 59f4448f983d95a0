"""A web server that takes returns and events, or does not: the other end of `webhook`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests._daemons import free_port


class Hook:
    """Listens on a port of its own in native threads, from `start` to `stop`.

    `answer` gets the returns, or events, of a request and gives the status; those that it lets
    through with 2xx are in `taken`, all others in `refused`. `sizes` has one number per request.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook?secret=word"
        self.answer: Callable[[list[dict[str, Any]]], int] = lambda _: 204
        self.taken: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.sizes: list[int] = []
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> Hook:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                ((what, entries),) = json.loads(self.rfile.read(size)).items()
                assert what in ("returns", "events")
                status = hook.answer(entries)
                hook.sizes.append(len(entries))
                (hook.taken if status < 300 else hook.refused).extend(entries)
                hook.headers.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if hook._server is None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def keys(self) -> list[str]:
        return [each["key"] for each in self.taken]
