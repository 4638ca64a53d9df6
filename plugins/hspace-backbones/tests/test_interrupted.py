"""Processes that die, or run out of disk, in the middle of a download: the next one goes on from there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hspace import load_backbone

from .serving import COMMIT, FACTS, NETWORK, REPO, Server, repository, small_unet

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a Unix signal")
PATH = "/files/model.pt"
CONTENT = bytes(range(256)) * 8000
FETCH = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
from hspace.download import download, look
download(look(sys.argv[1]), Path(sys.argv[2]), "it")
"""


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process."""
    process = subprocess.Popen([sys.executable, *command], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def arrived(folder: Path) -> int:
    """How many bytes of an unfinished download there are."""
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete"))


def wait_for_some(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Returns when more than a small file, such as a config, has arrived."""
    deadline = time.monotonic() + 600  # a busy machine takes its time
    while arrived(folder) < 5000:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "nothing arrived"
        time.sleep(0.01)


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_is_taken_up_by_the_next_process(
    server: Server, tmp_path: Path, deadly: signal.Signals
) -> None:
    server.files[PATH] = CONTENT
    server.slow.add(PATH)
    target = tmp_path / "there" / "model.pt"
    with started("-c", FETCH, server.url + PATH, str(target)) as process:
        wait_for_some(target.parent, process)
        process.send_signal(deadly)
        process.wait()
    assert not target.exists()
    server.slow.clear()
    kept = arrived(target.parent)
    with started("-c", FETCH, server.url + PATH, str(target)) as process:
        assert process.wait() == 0
    assert target.read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert arrived(target.parent) == 0


def test_a_full_disk_keeps_what_arrived_and_says_what_to_do(server: Server, tmp_path: Path) -> None:
    server.files[PATH] = CONTENT
    target = tmp_path / "there" / "model.pt"
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))\n{FETCH}"
    with started("-c", full, server.url + PATH, str(target)) as process:
        assert process.stderr is not None
        err = process.stderr.read()
    assert f"could not write {target}: File too large. What arrived is kept; make room" in err
    kept = arrived(target.parent)
    assert 0 < kept <= 1_500_000
    with started("-c", FETCH, server.url + PATH, str(target)) as process:
        assert process.wait() == 0
    assert target.read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={kept}-"]


@torch.no_grad()
def test_a_killed_command_leaves_no_half_a_repository(
    server: Server, offer: Callable[..., None], tmp_path: Path
) -> None:
    server.repositories[REPO] = repository(tmp_path / "made", small_unet())
    server.slow.add(f"/{REPO}/resolve/{COMMIT}/{NETWORK}")
    offer("small", **FACTS, repo=REPO, weights="download")
    words = ["sample", "--backbone", "small", "-n", "1", "--steps", "1", "--out", str(tmp_path / "out")]
    with started("-m", "hspace", *words) as process:
        wait_for_some(tmp_path / "hf", process)
        process.kill()
        process.wait()
    kept = arrived(tmp_path / "hf")
    server.slow.clear()
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([300.0])
    torch.testing.assert_close(load_backbone("small")(x_t, t), load_backbone(tmp_path / "made")(x_t, t))
    assert server.ranges(NETWORK) == [None, f"bytes={kept}-"]
    assert os.environ["HF_HOME"] == str(tmp_path / "hf")
