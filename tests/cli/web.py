"""A web server on loopback: files by path, with ranges, and connections that end too early."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What is served: `files` by path. `drops` has after how many bytes an answer ends, once each; `asked` is what was
    asked: method, path and range."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    drops: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        data = self.web.files.get(self.path, b"")
        end = self.web.drops.pop(0) if self.web.drops else len(data)
        self._answer(data[:end])

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, sent: bytes) -> None:
        wanted = self.headers.get("Range")
        self.web.asked.append((self.command, self.path, wanted))
        if self.path not in self.web.files:
            self.send_error(404)
            return
        size = len(self.web.files[self.path])
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self.wfile.write(sent[start:])


@contextmanager
def serving() -> Iterator[Web]:
    """A server that runs until the block ends."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
