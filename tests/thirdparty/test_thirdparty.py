"""A separate distribution in an environment with core alone: installed, used, broken, removed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.thirdparty, pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")]

RIPPLES = Path(__file__).parent / "ripples"
CORE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment, and a folder to work in."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def uv(self, *arguments: object) -> None:
        """Runs uv on this environment."""
        where = {**os.environ, "VIRTUAL_ENV": str(self.root / "venv")}
        ran = subprocess.run(["uv", *map(str, arguments)], env=where, cwd=self.root, text=True, capture_output=True)
        assert ran.returncode == 0, ran.stderr

    def run(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs one of the environment's own commands, with a registry of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HSPACE_", "PYTHON"))}
        own = {"HSPACE_HOME": str(self.root / "home"), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
        run = [str(self.bin / command), *map(str, arguments)]
        return subprocess.run(run, env={**kept, **own}, cwd=self.root, text=True, capture_output=True, timeout=300)

    def json(self, *arguments: object) -> Any:
        """What `hspace ... --json` answers."""
        ran = self.run("hspace", *arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def names(self, kind: str) -> list[str]:
        """The names that `hspace list-<kind>` lists."""
        return [card["name"] for card in self.json(f"list-{kind}")[kind]]

    def plugins(self) -> dict[str, Any]:
        """What `hspace plugins` says, by name."""
        return {report["name"]: report for report in self.json("plugins")["plugins"]}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Core, one third-party plugin and pytest, at the versions that run this test; nothing else of ours."""
    made = Environment(tmp_path_factory.mktemp("thirdparty"))
    pins = {f"{one.name}=={one.version}" for one in distributions() if not one.name.startswith("hspace")}
    (made.root / "pins.txt").write_text("\n".join(sorted(pins)))
    made.uv("venv", "--python", sys.executable, made.root / "venv")
    made.uv("pip", "install", "--constraint", made.root / "pins.txt", CORE, RIPPLES, "pytest")
    return made


@pytest.fixture
def broken(environment: Environment) -> Iterator[None]:
    """A second plugin beside the first, one that raises when it is imported."""
    folder = environment.root / "broken"
    (folder / "hspace_broken").mkdir(parents=True, exist_ok=True)
    (folder / "hspace_broken" / "__init__.py").write_text("raise RuntimeError('on fire')\n")
    project = (RIPPLES / "pyproject.toml").read_text().replace("ripples", "broken")
    (folder / "pyproject.toml").write_text(project)
    environment.uv("pip", "install", "--no-deps", folder)
    yield
    environment.uv("pip", "uninstall", "hspace-broken")


@pytest.fixture
def removed(environment: Environment) -> Iterator[None]:
    """The environment without the plugin."""
    environment.uv("pip", "uninstall", "hspace-ripples")
    yield
    environment.uv("pip", "install", "--no-deps", RIPPLES)


def discover(environment: Environment) -> Any:
    return environment.json(
        *("discover", "--unsupervised", "--finder", "ripples-power", "--backbone", "ripples"),
        *("--steps", 4, "--samples", 1, "--out", environment.root / "out"),
    )


def test_nothing_else_of_ours_is_installed(environment: Environment) -> None:
    assert list(environment.plugins()) == ["hspace-ripples"]


def test_installing_it_lists_what_it_offers(environment: Environment) -> None:
    assert environment.names("backbones") == ["ripples"]
    assert environment.names("heads") == ["ripples-shift"]
    assert environment.names("finders") == ["ripples-power"]
    (card,) = environment.json("list-backbones")["backbones"]
    assert (card["plugin"], card["x_shape"], card["weights"]) == ("hspace-ripples", [3, 16, 16], "bundled")


def test_discover_runs_its_finder_on_its_backbone(environment: Environment) -> None:
    found = discover(environment)
    assert [direction["id"] for direction in found["directions"]] == ["ripples/loudest.ripples-power"]
    assert (environment.root / found["sheet"]).is_file()
    assert "ripples/loudest.ripples-power" in [one["id"] for one in environment.json("list-directions")["directions"]]


def test_its_three_line_test_classes_pass_the_contracts(environment: Environment) -> None:
    shutil.copytree(RIPPLES / "tests", environment.root / "tests", dirs_exist_ok=True)
    ran = environment.run("python", "-m", "pytest", "-q", "tests")
    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout


@pytest.mark.usefixtures("broken")
def test_a_broken_plugin_is_reported_and_harms_nobody(environment: Environment) -> None:
    reports = environment.plugins()
    assert (reports["hspace-broken"]["status"], reports["hspace-ripples"]["status"]) == ("broken", "ok")
    assert reports["hspace-broken"]["detail"] == "RuntimeError: on fire"
    assert environment.names("backbones") == ["ripples"]
    assert len(discover(environment)["directions"]) == 1


@pytest.mark.usefixtures("removed")
def test_removing_it_removes_what_it_offered_and_core_says_what_to_install(environment: Environment) -> None:
    assert environment.plugins() == {}
    assert environment.names("backbones") == []
    told = environment.run("hspace", "list-backbones")
    assert told.returncode == 0
    assert "hspace-backbones" in told.stdout + told.stderr
    missing = environment.run("hspace", "discover", "--unsupervised", "--finder", "ripples-power")
    assert missing.returncode == 4
    assert "no finder is called 'ripples-power'" in missing.stderr
