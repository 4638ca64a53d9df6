"""A server on loopback, small models to serve, and plugins that offer them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from hspace.plugins import Plugins
from hspace.testing import hspace_home as hspace_home
from hspace.testing import write_plugin as write_plugin

from .serving import Server, serve

torch.set_num_threads(1)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hspace_home: Path) -> Iterator[Server]:
    """A server that is also the hub of this process, with caches of the test's own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serve() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def offer(write_plugin: Callable[[str, str], Plugins]) -> Callable[..., None]:
    """`offer(name, **facts)`: a plugin of somebody else's with one card that our store keeps."""

    def write(name: str, **facts: object) -> None:
        write_plugin(
            "somebodys",
            f"""
            import hspace

            @hspace.hookimpl
            def hspace_backbones():
                return [hspace.Card({name!r}, "hspace.loading:load_folder", "a small model", facts={facts!r},
                                    store="hspace_backbones.store")]
            """,
        )

    return write
