"""The checks. `uv run nox` runs the default ones in uv's environment; the others make environments of their own."""

import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "uv"

ROOT = Path(__file__).parent
MEMBERS = [*sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")), ROOT / "zoo"]
SOURCES = ["hspace", "plugins", "zoo", "tests", "benchmarks", "noxfile.py"]
COGGED = [
    "README.md",
    *(f"docs/{name}.md" for name in ("guide", "backbones", "claims", "convert", "audit", "benchmark")),
    "benchmarks/README.md",
]
DEFAULT = "not slow and not gpu and not weights and not thirdparty"
PARALLEL = ["--numprocesses", "auto", "--maxprocesses", "4", "--dist", "worksteal"]  # a process with torch takes 1 GB
TYPED = ["hspace", *(str(path) for member in MEMBERS for path in member.glob("hspace_*") if path.is_dir())]


def install(session: nox.Session, *packages: str) -> None:
    """Installs into an isolated environment, at the versions that the tests ran with."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    constraints = Path(session.create_tmp()) / "constraints.txt"
    constraints.write_text("\n".join(pins))
    session.install("--constraint", str(constraints), *packages)


def everything() -> list[str]:
    """Core, every plugin and the zoo, as plain pip would install them: not editable."""
    return [".", *(str(member) for member in MEMBERS)]


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ruff: the rules, and the format."""
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("cog", "--check", *COGGED)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """mypy, strict, on everything that is shipped."""
    session.run("mypy", *TYPED)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests that need neither minutes, nor an accelerator, nor published weights."""
    session.run("pytest", *PARALLEL, "-m", DEFAULT, *session.posargs)


@nox.session(venv_backend="none")
def slow(session: nox.Session) -> None:
    """The tests that take minutes."""
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """The tests that need an accelerator."""
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
@nox.parametrize("name", [member.name for member in MEMBERS])
def plugin(session: nox.Session, name: str) -> None:
    """One plugin's own tests, in an environment with everything installed as pip would."""
    install(session, *everything(), "pytest")
    folder = next(member for member in MEMBERS if member.name == name)
    session.run("pytest", str(folder / "tests"), "-m", "not slow and not gpu and not weights", *session.posargs)


@nox.session
def plugins_vs_core(session: nox.Session) -> None:
    """Core's tests again, with every plugin installed as pip would."""
    install(session, *everything(), "pytest", "pytest-xdist")
    session.run("pytest", "tests", *PARALLEL, "-m", DEFAULT, *session.posargs)


@nox.session(venv_backend="none")
def thirdparty(session: nox.Session) -> None:
    """A separate distribution, installed with core alone into a fresh environment, used and removed."""
    session.run("pytest", "-m", "thirdparty", "tests/thirdparty", *session.posargs)


@nox.session
def coldstart(session: nox.Session) -> None:
    """Core alone: what importing and listing costs, by content."""
    install(session, ".", "pytest")
    session.run("pytest", "tests/test_coldstart.py", *session.posargs)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Writes the parts of the documents that the tool itself says, then runs every block of them."""
    session.run("cog", "-r", *COGGED)
    session.run("pytest", "tests/test_docs.py", *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """The benchmarks; each writes its result, with the machine and the versions, to benchmarks/results."""
    for script in sorted(Path("benchmarks").glob("*.py")):
        if "__main__" in script.read_text():  # the others are what they share
            session.run("python", str(script), *session.posargs)
