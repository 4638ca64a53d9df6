"""Fixtures: a registry of one's own, and plugins written on the spot. Import them in a conftest.py to use them."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from hspace.plugins import Plugins, plugins


@pytest.fixture
def hspace_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty HSPACE_HOME and HSPACE_CACHE under tmp_path; plugins are collected anew inside the test and after it."""
    home = tmp_path / "hspace-home"
    monkeypatch.setenv("HSPACE_HOME", str(home))
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "hspace-cache"))
    plugins.cache_clear()
    yield home
    plugins.cache_clear()


@pytest.fixture
def ctrl_c_heard() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt inside the test, also where a shell ignores it for its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Plugins]]:
    """`write_plugin(name, source)` adds a plugin through HSPACE_PLUGINS and returns all plugins, collected anew."""
    files: list[Path] = []

    def write(name: str, source: str) -> Plugins:
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(dedent(source))
        monkeypatch.setenv("HSPACE_PLUGINS", ",".join(map(str, files)))
        return again()

    def again() -> Plugins:
        for file in files:
            sys.modules.pop(file.stem, None)
        plugins.cache_clear()
        return plugins()

    yield write
    for file in files:
        sys.modules.pop(file.stem, None)
    plugins.cache_clear()
