"""What is imported before it is needed: nothing heavy."""

from pathlib import Path

import pytest

from hspace.plugins import plugins
from hspace.testing import HEAVY, heavy_imports
from hspace.testing.imports import heavy_after

COMMANDS = [
    ["--help"],
    ["plugins"],
    *(
        [f"list-{kind}"]
        for kind in (
            "backbones",
            "heads",
            "finders",
            "encoders",
            "importers",
            "sources",
            "labellers",
            "metrics",
            "directions",
        )
    ),
    ["list-backbones", "--json"],
    ["audit", "--help"],
    ["benchmark", "--help"],
    ["discover", "--help"],
    ["edit", "--help"],
    ["evaluate", "--help"],
    ["import", "--help"],
    ["pull"],
    ["recipes", "list"],
    ["report", "--help"],
]


def test_importing_hspace_imports_nothing_heavy() -> None:
    assert heavy_imports("hspace") == []


@pytest.mark.parametrize(
    "name", ["cards", "cli", "direction", "errors", "hookspecs", "plugins", "recipes", "registry", "remote", "zoo"]
)
def test_what_listing_needs_imports_nothing_heavy(name: str) -> None:
    assert heavy_imports(f"hspace.{name}") == []


def test_the_public_names_are_at_most_20_and_all_there() -> None:
    import hspace

    assert len(hspace.__all__) <= 20
    assert [name for name in hspace.__all__ if not hasattr(hspace, name)] == []


def test_a_name_that_hspace_does_not_have_is_answered_with_those_it_has() -> None:
    import hspace

    with pytest.raises(AttributeError, match="module 'hspace' has no attribute 'Backbon'; it has Backbone, Card"):
        hspace.Backbon  # noqa: B018


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_computes_nothing_imports_nothing_heavy(command: list[str]) -> None:
    code = f"""
sys.argv = ["hspace", *{command!r}]
from hspace.cli import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
"""
    assert heavy_after(code) == []


def test_the_entry_modules_of_all_plugins_import_nothing_heavy() -> None:
    origins = {report.origin.partition(":")[0] for report in plugins().reports() if report.status == "ok"}
    code = "".join(f"import {origin}\n" for origin in sorted(origins))
    assert heavy_after(code) == []


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    for name in HEAVY:
        (tmp_path / f"{name}.py").touch()
    brings = "".join(f"import {name}\n" for name in HEAVY)
    assert heavy_after(f"sys.path.insert(0, {str(tmp_path)!r})\n{brings}") == list(HEAVY)
