"""Downloading a file: resumed where it was interrupted, checked before it counts, whole or absent."""

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from hspace.errors import HspaceError, NotFoundError, RefusedError
from hspace.progress import Advance, progress
from hspace.storage import cache_folder

ATTEMPTS = 4
"""How often in a row a connection may bring nothing before we give up."""
PAUSE = 0.2
"""Seconds before the second attempt; each further pause is twice as long."""
CHUNK = 2**20
TIMEOUT = 30
GONE = (401, 403, 404, 410)
"""What servers answer when a file is not there, or not for us."""


class _Dropped(Exception):
    """The connection failed; another attempt may go on from there."""


@dataclass(frozen=True)
class Remote:
    """A file at a URL. `version` changes when its content does; `sha256`, `md5` and `size` are None where unknown."""

    url: str
    version: str = ""
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent to the URL's own host, and to none that it redirects to."""

    @property
    def key(self) -> str:
        """A name for this version of the file."""
        return hashlib.sha256(f"{self.url} {self.version} {self.size}".encode()).hexdigest()[:12]

    @property
    def resumable(self) -> bool:
        """Whether a mixture of two versions, or half a file, would be seen."""
        return self.size is not None and bool(self.version or self.sha256 or self.md5)


def look(url: str, size: int | None = None, sha256: str | None = None, md5: str | None = None) -> Remote:
    """What a server says of a file, held against what is known.

    Raises NotFoundError when there is none, RefusedError for one of another size, HspaceError when the network fails.
    """
    for failures in range(1, ATTEMPTS + 1):
        try:
            with _open(url, {}, "HEAD") as response:
                told, headers = response.headers.get("Content-Length"), response.headers
            break
        except _Dropped as error:
            _pause(url, failures, error)
    found = int(told) if told and told.isdecimal() else None
    if size is not None and found not in (None, size):
        raise RefusedError(f"{url} has {found} bytes; the published file has {size}")
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return Remote(url, version, size if found is None else found, sha256, md5)


def download(remote: Remote, path: Path, what: str) -> None:
    """Puts the file at `path`, in one go after its last byte was checked; does nothing when `path` is there.

    What has arrived when it fails, or is killed, is kept beside `path`, and the next call goes on from there. Raises
    NotFoundError when the server has no such file, RefusedError when what arrived is not what it should be (it is
    then thrown away), HspaceError when the network or the disk fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        locks = cache_folder() / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.lock"):
            if not path.exists():
                _download(remote, path, what)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HspaceError(
            f"could not write {path}: {reason}. What arrived is kept; make room, or set HSPACE_CACHE or HF_HOME to "
            f"another folder, and try again."
        ) from error


def _download(remote: Remote, path: Path, what: str) -> None:
    incomplete = path.with_name(f"{path.name}.{remote.key}.incomplete")
    for other in path.parent.glob(f"{path.name}.*.incomplete"):
        if other != incomplete:
            other.unlink()  # of a version that the server no longer has
    _require_room(remote, incomplete)
    failures = 0
    with progress(f"downloading {what}", in_bytes=True) as callback:
        while True:
            before = _size(incomplete)
            try:
                _receive(remote, incomplete, callback)
                break
            except _Dropped as error:
                failures = 1 if _size(incomplete) > before else failures + 1
                _pause(remote.url, failures, error)
    _check(remote, incomplete)
    os.replace(incomplete, path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _require_room(remote: Remote, incomplete: Path) -> None:
    free = shutil.disk_usage(incomplete.parent).free
    if remote.size is not None and remote.size - _size(incomplete) > free:
        raise HspaceError(
            f"{remote.url} needs {remote.size / 1e9:.1f} GB; {incomplete.parent} has {free / 1e9:.1f} GB left. Make "
            f"room, or set HSPACE_CACHE or HF_HOME to a folder on another disk."
        )


def _receive(remote: Remote, incomplete: Path, callback: Advance) -> None:
    """Appends what is still missing. Raises _Dropped when the connection ends before the file does."""
    done = _size(incomplete) if remote.resumable else 0
    if remote.size is not None and done == remote.size:
        return
    headers = {**remote.headers, **({"Range": f"bytes={done}-"} if done else {})}
    with _open(remote.url, headers, "GET") as response:
        goes_on = done > 0 and _goes_on(response, remote, done)
        done = done if goes_on else 0
        length = response.headers.get("Content-Length")
        total = remote.size if remote.size is not None else done + int(length) if length else None
        with open(incomplete, "ab" if goes_on else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                file.flush()
                done += len(chunk)
                if total:
                    callback(done, total)
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Dropped(f"the connection ended after {done} of {total} bytes")


def _goes_on(response: Any, remote: Remote, done: int) -> bool:
    """Whether an answer begins where we stopped, and is of the same version."""
    begins = str(response.headers.get("Content-Range", "")).startswith(f"bytes {done}-")
    version = response.headers.get("ETag")
    return response.status == 206 and begins and (not remote.version.startswith('"') or version == remote.version)


def _chunks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK)  # what has come, so that it is kept whatever happens next
        except (OSError, http.client.HTTPException) as error:
            raise _Dropped(str(error) or type(error).__name__) from error
        if not chunk:
            return
        yield chunk


@contextmanager
def _open(url: str, headers: Mapping[str, str], method: str) -> Iterator[Any]:
    request = urllib.request.Request(url, method=method)
    request.add_header("Accept-Encoding", "identity")
    for name, value in headers.items():
        if name.lower() == "authorization":
            request.add_unredirected_header(name, value)  # for this host, not for one that it redirects to
        else:
            request.add_header(name, value)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in GONE:
            raise NotFoundError(f"{url} is not to be had: the server answers {error.code} ({error.reason})") from error
        raise _Dropped(f"the server answers {error.code} ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Dropped(str(getattr(error, "reason", error))) from error
    with response:
        yield response


def _pause(url: str, failures: int, error: _Dropped) -> None:
    if failures >= ATTEMPTS:
        raise HspaceError(
            f"could not download {url}: {error}. Check the network and try again; what arrived is kept."
        ) from error
    time.sleep(PAUSE * 2 ** (failures - 1))


def _check(remote: Remote, incomplete: Path) -> None:
    problems = []
    if remote.size is not None and _size(incomplete) != remote.size:
        problems.append(f"it has {_size(incomplete)} bytes, not {remote.size}")
    for name in ("sha256", "md5"):
        wanted = getattr(remote, name)
        if wanted is not None and not problems:
            with open(incomplete, "rb") as file:
                found = hashlib.file_digest(file, name).hexdigest()
            if found != wanted:
                problems.append(f"its {name} is {found[:12]}..., it should be {wanted[:12]}...")
    if problems:
        incomplete.unlink()
        raise RefusedError(
            f"what {remote.url} sent is not the published file: {problems[0]}. Nothing of it was kept; try again, or "
            f"get a good copy elsewhere."
        )
