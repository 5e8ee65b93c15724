"""A web server on this machine whose pages break off, lie, crawl, redirect or refuse, for tests of downloads."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 4096


@dataclass
class Page:
    """What one address answers.

    Args:
        content: the whole file.
        status: code for requests of the whole file.
        content_type: as announced.
        ranges: answer a Range request with the missing piece; otherwise send everything again.
        break_after: bytes of an answer after which the connection is cut; None sends all.
        announce: Content-Length to claim instead of the true one; 0 sends no length at all.
        range_start: first byte that an answer to a Range request claims to hold; None is honest.
        pause_s: time between pieces of 4096 bytes.
        location: where a redirection points.
        etag: version that If-Range is compared with; "" sends none.
    """

    content: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    ranges: bool = True
    break_after: int | None = None
    announce: int | None = None
    range_start: int | None = None
    pause_s: float = 0.0
    location: str | None = None
    etag: str = '"1"'


@dataclass
class Server:
    """A running server: its pages may be exchanged at any time, its requests are recorded."""

    pages: dict[str, Page]
    port: int = 0
    ranges_asked: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        """Address of a page."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serve(pages: dict[str, Page], limit_s: float = 60.0) -> Iterator[Server]:
    """Serve pages on a free loopback port until the block ends, or `limit_s` at most."""
    server = Server(pages)
    handler = type("Handler", (_Handler,), {"server_state": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        watchdog = threading.Timer(limit_s, http.shutdown)
        watchdog.daemon = True
        thread.start()
        watchdog.start()
        try:
            yield server
        finally:
            watchdog.cancel()
            http.shutdown()
            thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def log_message(self, *_args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server_state.ranges_asked.append(asked)
        page = self.server_state.pages.get(self.path, Page(b"not here", status=404))
        start = self._start(page, asked)
        if start is not None and start >= len(page.content):
            self.send_error(416)
            return
        self._send_head(page, start)
        with contextlib.suppress(OSError):
            self._send_body(page, page.content[start or 0 :])

    def _start(self, page: Page, asked: str | None) -> int | None:
        same = self.headers.get("If-Range", page.etag) == page.etag
        if asked is None or not page.ranges or page.status != 200 or not same:
            return None
        return int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))

    def _send_head(self, page: Page, start: int | None) -> None:
        self.send_response(page.status if start is None else 206)
        self.send_header("Content-Type", page.content_type)
        if page.etag:
            self.send_header("ETag", page.etag)
        if page.location:
            self.send_header("Location", page.location)
        if start is not None:
            claimed = start if page.range_start is None else page.range_start
            self.send_header("Content-Range", f"bytes {claimed}-{len(page.content) - 1}/{len(page.content)}")
        if page.announce != 0:
            self.send_header("Content-Length", str(page.announce or len(page.content) - (start or 0)))
        self.end_headers()

    def _send_body(self, page: Page, body: bytes) -> None:
        end = len(body) if page.break_after is None else page.break_after
        for position in range(0, min(end, len(body)), _PIECE):
            self.wfile.write(body[position : min(position + _PIECE, end)])
            time.sleep(page.pause_s)
