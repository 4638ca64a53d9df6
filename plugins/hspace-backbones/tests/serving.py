"""A web server on loopback: files by URL, with ranges, and repositories as the hub serves them; and what to serve."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from hspace_backbones import pesser
from hspace_backbones.arguments import PesserArguments
from hspace_backbones.layers import official_shapes

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "somebody/small"
NETWORK = "diffusion_pytorch_model.safetensors"
ARGS: dict[str, Any] = {
    "ch": 16,
    "out_ch": 3,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [8],
    "in_channels": 3,
    "resolution": 16,
}
FACTS: dict[str, Any] = {
    "family": "ddpmpp",
    "x_shape": (3, 16, 16),
    "h_shape": (32, 8, 8),
    "h_site": "mid.out",
    "licence": "Apache-2.0",
    "source": "random numbers",
    "norm_num_groups": 4,
    "official": {"args": ARGS},
}


@dataclass
class Server:
    """What is served: `files` by path, `repositories` by name; and how badly.

    `drops` has, by path, after how many bytes of an answer the connection ends, once for each number. `spoilt` paths
    are sent with a byte changed. `slow` ones stop half-way until `go` is set. `requests` is what was asked: method,
    path and range.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    drops: dict[str, list[int]] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    untagged: set[str] = field(default_factory=set)
    """Paths that are served without an ETag."""
    slow: set[str] = field(default_factory=set)
    go: threading.Event = field(default_factory=threading.Event)
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes to claim in place of the true ones."""
    codes: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def ranges(self, end: str = "") -> list[str | None]:
        """The ranges asked of paths that end so, one for each GET."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.endswith(end)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, head: bool) -> None:
        state, path = self.state, self.path.partition("?")[0]
        asked = self.headers.get("Range")
        state.requests.append((self.command, path, asked))
        if path in state.codes:
            return self._refuse(state.codes[path], {})
        found = self._find(path)
        if isinstance(found, str):
            return self._refuse(404, {"X-Error-Code": found, "X-Error-Message": found})
        data, headers = found
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        size = state.sizes.get(path, len(data))
        for name, value in {**headers, "Content-Length": str(size - start), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self._send(path, data, start)

    def _find(self, path: str) -> tuple[bytes, dict[str, str]] | str:
        if path in self.state.files:
            data = self.state.files[path]
            if path in self.state.untagged:
                return data, {}
            return data, {"ETag": f'"{hashlib.sha256(data).hexdigest()[:8]}"'}
        repo, _, rest = path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo not in self.state.repositories:
            return "RepoNotFound"
        if revision not in ("main", COMMIT):
            return "RevisionNotFound"
        if name not in self.state.repositories[repo]:
            return "EntryNotFound"
        data = self.state.repositories[repo][name]
        large = not name.endswith(".json")
        tag = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return data, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}

    def _send(self, path: str, data: bytes, start: int) -> None:
        state = self.state
        if path in state.spoilt:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        end = len(data)
        if state.drops.get(path):
            end = start + state.drops[path].pop(0)
        if path in state.slow:
            middle = start + (end - start) // 2
            self.wfile.write(data[start:middle])
            self.wfile.flush()
            state.go.wait(600)
            start = middle
        self.wfile.write(data[start:end])
        if end < len(data):
            self.close_connection = True

    def _refuse(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or was killed, is no error here."""


@contextmanager
def serve() -> Iterator[Server]:
    """A server that runs until the block ends."""
    state = Server()
    running = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{running.server_address[1]}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.go.set()
        running.shutdown()
        running.server_close()


def official_weights(args: dict[str, Any] = ARGS, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of the official code with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = official_shapes(pesser.layers(PesserArguments.read(args)))
    return {name: torch.randn(shape, generator=generator) / 10 for name, shape in shapes.items()}


def small_unet(args: dict[str, Any] = ARGS, seed: int = 0) -> UNet2DModel:
    """A DDPM++ of those weights."""
    return pesser.convert(official_weights(args, seed), args, norm_num_groups=4)


def repository(folder: Path, unet: UNet2DModel) -> dict[str, bytes]:
    """The files of a repository with that network, in the layout of the hub's `ddpm-*`."""
    unet.save_pretrained(folder)
    DDPMScheduler().save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def checkpoint(path: Path, seed: int = 0) -> bytes:
    """A checkpoint of official code."""
    torch.save(official_weights(seed=seed), path)
    return path.read_bytes()
