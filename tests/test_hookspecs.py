"""Every hook is described, typed, documented and tried by a plugin."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hspace import hookspecs
from hspace.cards import SINGULAR
from hspace.cli import app
from hspace.plugins import Plugins

Write = Callable[[str, str], Plugins]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("hspace_"))
GUIDE = Path(__file__).parents[1] / "docs" / "plugins.md"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_typed_and_described(hook: str) -> None:
    spec = getattr(hookspecs, hook)
    signature = inspect.signature(spec)
    assert inspect.getdoc(spec)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_heading_in_the_guide(hook: str) -> None:
    assert f"## {hook}" in GUIDE.read_text().splitlines()


def test_the_guide_has_a_heading_for_no_other_hook() -> None:
    headings = [line[3:] for line in GUIDE.read_text().splitlines() if line.startswith("## hspace_")]
    assert sorted(headings) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test_here(hook: str) -> None:
    assert hook in TRIED


@pytest.mark.parametrize("kind", SINGULAR)
def test_a_hook_for_cards_offers_them_under_its_plugins_name(write_plugin: Write, kind: str) -> None:
    plugin = f"offers_{kind}"
    card = f"hspace.Card('mine', '{plugin}:made', 'one of mine')"
    found = write_plugin(plugin, f"import hspace\n@hspace.hookimpl\ndef hspace_{kind}(): return [{card}]\nmade = 7\n")
    mine = found.find(kind, "mine")
    assert (mine.plugin, mine.summary, mine.load()) == (plugin, "one of mine", 7)


def test_a_zoos_backbones_are_offered(write_plugin: Write, tmp_path: Path) -> None:
    folder = tmp_path / "backbones" / "small"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{"format": 1, "name": "small", "family": "ddpmpp", "licence": "0BSD"}')
    source = f"import hspace\n@hspace.hookimpl\ndef hspace_zoos(): return [{str(tmp_path)!r}]\n"
    card = write_plugin("keeper", source).find("backbones", "small")
    assert (card.plugin, card.facts["licence"], card.facts["folder"]) == ("keeper", "0BSD", str(folder))


def test_a_command_is_added_to_the_command_line(write_plugin: Write) -> None:
    source = """
        import hspace

        @hspace.hookimpl
        def hspace_commands(app):
            @app.command("greet")
            def greet(name: str):
                print(f"hello {name}")
    """
    write_plugin("greeter", source)
    ran = CliRunner().invoke(app(), ["greet", "ada"])
    assert (ran.exit_code, ran.stdout) == (0, "hello ada\n")


def test_a_command_hook_that_raises_harms_no_other_command(write_plugin: Write) -> None:
    write_plugin("clumsy", "import hspace\n@hspace.hookimpl\ndef hspace_commands(app): raise RuntimeError('no')\n")
    ran = CliRunner().invoke(app(), ["plugins", "--json"])
    assert ran.exit_code == 0
    assert "hspace_commands() raised RuntimeError: no" in ran.stdout


TRIED = {
    "hspace_commands": test_a_command_is_added_to_the_command_line,
    "hspace_zoos": test_a_zoos_backbones_are_offered,
    **{f"hspace_{kind}": test_a_hook_for_cards_offers_them_under_its_plugins_name for kind in SINGULAR},
}
"""Which test tries which hook."""
