"""The command line in this process, on the tiny backbone, with a registry of its own."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hspace import discover, registry
from hspace.cli import main
from hspace.plugins import Plugins
from hspace.testing import hspace_home as hspace_home
from hspace.testing import write_plugin as write_plugin

BACKBONE = "ddpmpp-random-tiny"
PLANTED = """
import os
import time

import hspace

FACTS = {"x_shape": (3, 8, 8), "h_shape": (32, 4, 4), "h_site": "mid.out", "licence": "none", "source": "here"}


@hspace.hookimpl
def hspace_backbones():
    return [hspace.Card("planted", "paced:load", "a toy that takes its time", facts=FACTS)]


def load(device="cpu", dtype=None):
    from hspace.testing import PlantedBackbone

    class Paced(PlantedBackbone):
        def encode_h(self, x_t, t):
            time.sleep(float(os.environ.get("PACE", 0)))
            return super().encode_h(x_t, t)

    return Paced()
"""
"""A plugin whose backbone needs torch alone, and may be slowed down without work for the processor."""


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.out)
        return answer


Cli = Callable[..., Answer]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, hspace_home: Path) -> Cli:
    """Runs a command in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["hspace", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def discovered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a basis of two directions, discovered once on the tiny backbone."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSPACE_HOME", str(home))
        discover(BACKBONE, config={"k": 2}, samples=1, steps=4, out=home / "sheets")
    return home


@pytest.fixture
def found(cli: Cli, discovered: Path, hspace_home: Path) -> str:
    """The id of that basis, in this test's own registry."""
    shutil.copytree(discovered, hspace_home, dirs_exist_ok=True)
    (entry,) = (one for one in registry.entries() if one.owner == "user")
    return entry.id


@pytest.fixture
def planted(write_plugin: Callable[[str, str], Plugins]) -> str:
    """The name of a backbone that other processes open in no time; `PACE` is how many seconds it sleeps at a time."""
    write_plugin("paced", PLANTED)
    return "planted"


@pytest.fixture
def planted_find(planted: str, hspace_home: Path, tmp_path: Path) -> str:
    """The id of a basis of two directions on it."""
    found = discover(planted, config={"k": 2}, samples=1, steps=4, out=tmp_path / "sheets")
    return found.directions[0].id


@pytest.fixture
def face(tmp_path: Path) -> Path:
    """A picture file that is larger than the backbone's."""
    path = tmp_path / "face.png"
    Image.linear_gradient("L").resize((40, 32)).convert("RGB").save(path)
    return path
