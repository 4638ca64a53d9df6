import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from hspace.errors import HspaceError, NotFoundError
from hspace.plugins import Plugins, Report, plugins

Write = Callable[[str, str], Plugins]

HEAD = """
import hspace

@hspace.hookimpl
def hspace_heads():
    return [hspace.Card("{name}", "{plugin}:build", "a head")]
"""


def head(plugin: str, name: str) -> str:
    return HEAD.format(plugin=plugin, name=name)


def report(of: Plugins, name: str) -> Report:
    return next(report for report in of.reports() if report.name == name)


def unharmed(found: Plugins) -> bool:
    """Whether everything that comes with the checkout is still there."""
    return {"table", "delta-block"} <= {card.name for card in found.cards("heads")} and bool(found.cards("backbones"))


def in_process(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`code` in a fresh interpreter, with `folder` importable."""
    path = {"PYTHONPATH": str(folder), "PATH": "", "HSPACE_HOME": str(folder / "home")}
    run = [sys.executable, "-c", dedent(code)]
    return subprocess.run(run, text=True, capture_output=True, env={**path, **environment}, check=True, cwd=folder)


def test_a_file_named_by_hspace_plugins_is_a_plugin(write_plugin: Write) -> None:
    found = write_plugin("mine_file", head("mine_file", "mine"))
    assert report(found, "mine_file") == Report(
        "mine_file", "ok", origin=report(found, "mine_file").origin, hooks=("hspace_heads",)
    )
    assert found.find("heads", "mine").plugin == "mine_file"


def test_its_cards_load_from_the_file(write_plugin: Write) -> None:
    found = write_plugin("mine_code", head("mine_code", "mine") + "\ndef build():\n    return 'built'\n")
    assert found.find("heads", "mine").load()() == "built"


def test_a_card_whose_code_is_missing_lists_and_then_says_so(write_plugin: Write) -> None:
    card = write_plugin("mine_empty", head("mine_empty", "mine")).find("heads", "mine")
    with pytest.raises(AttributeError, match="build"):
        card.load()


def test_a_module_named_by_hspace_plugins_is_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine_module.py").write_text(head("mine_module", "mine"))
    code = "from hspace.plugins import plugins; print(plugins().find('heads', 'mine').plugin)"
    assert in_process(code, tmp_path, HSPACE_PLUGINS="mine_module").stdout == "mine_module\n"


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("raise RuntimeError('on fire')", "RuntimeError: on fire"),
        ("raise ValueError('not a duplicate')", "ValueError: not a duplicate"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("import hspace\n@hspace.hookimpl\ndef hspace_heads(surprise): return []", "PluginValidationError"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_reported_and_harms_nobody(
    write_plugin: Write, source: str, detail: str
) -> None:
    found = write_plugin("broken_one", source)
    assert report(found, "broken_one").status == "broken"
    assert detail in report(found, "broken_one").detail
    assert unharmed(found)


def test_a_file_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HSPACE_PLUGINS", str(tmp_path / "gone.py"))
    found = Plugins()
    assert report(found, "gone").status == "broken"
    assert "which is not a Python file" in report(found, "gone").detail
    assert unharmed(found)


def test_a_file_that_would_hide_a_module_is_reported(write_plugin: Write, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSPACE_PLUGINS", str(tmp_path / "json.py"))
        found = Plugins()
    assert report(found, "json").status == "broken"
    assert "a module 'json' exists; rename the file" in report(found, "json").detail


@pytest.mark.parametrize("fault", ["raise RuntimeError('late')", "raise SystemExit(1)"])
def test_a_hook_that_raises_is_reported_and_harms_nobody(write_plugin: Write, fault: str) -> None:
    source = f"import hspace\n@hspace.hookimpl\ndef hspace_heads():\n    {fault}\n"
    found = write_plugin("raises", source)
    assert report(found, "raises").status == "warning"
    assert report(found, "raises").detail.startswith(f"hspace_heads() raised {fault.split()[1].partition('(')[0]}")
    assert unharmed(found)


@pytest.mark.parametrize(
    ("hook", "answer", "complaint"),
    [
        ("hspace_heads", "['table']", "hspace_heads() returned 'table', which is not a Card"),
        ("hspace_heads", "hspace.Card('mine', 'a:b', '')", "which is not a list"),
        ("hspace_heads", "7", "hspace_heads() returned 7, which is not a list"),
        ("hspace_zoos", "'/tmp'", "hspace_zoos() returned '/tmp', which is not a list"),
        ("hspace_zoos", "[7]", "hspace_zoos() returned 7, which is not a path"),
    ],
)
def test_a_hook_that_returns_something_else_is_reported_and_harms_nobody(
    write_plugin: Write, hook: str, answer: str, complaint: str
) -> None:
    found = write_plugin("odd", f"import hspace\n@hspace.hookimpl\ndef {hook}():\n    return {answer}\n")
    assert report(found, "odd").status == "warning"
    assert complaint in report(found, "odd").detail
    assert unharmed(found)


def test_a_hook_that_returns_nothing_offers_nothing(write_plugin: Write) -> None:
    found = write_plugin("silent", "import hspace\n@hspace.hookimpl\ndef hspace_heads(): pass\n")
    assert report(found, "silent").status == "ok"
    assert unharmed(found)


def test_a_misspelt_hook_is_reported_with_the_near_one(write_plugin: Write) -> None:
    found = write_plugin("typo", "import hspace\n@hspace.hookimpl\ndef hspace_backbone(): return []\n")
    assert report(found, "typo").status == "warning"
    assert report(found, "typo").detail == "no hook is called 'hspace_backbone'; did you mean 'hspace_backbones'?"


def test_a_blocked_plugin_is_reported_and_not_imported(write_plugin: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "unwanted, hspace-heads")
    found = write_plugin("unwanted", "raise RuntimeError('imported')")
    assert report(found, "unwanted").status == "blocked"
    assert report(found, "unwanted").detail == "HSPACE_DISABLE names it"
    assert report(found, "hspace-heads").status == "blocked"
    assert found.cards("heads") == []


def test_one_module_named_twice_is_reported_as_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_PLUGINS", "hspace_heads")
    found = Plugins()
    assert report(found, "hspace-heads").status == "ok"
    assert report(found, "hspace_heads").status == "duplicate"
    assert unharmed(found)


def test_the_second_of_two_files_of_one_name_is_reported(
    write_plugin: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-heads")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "same.py").write_text(head("same", "second"))
    write_plugin("same", head("same", "first"))
    monkeypatch.setenv("HSPACE_PLUGINS", f"{tmp_path / 'same.py'},{tmp_path / 'other' / 'same.py'}")
    del sys.modules["same"]
    found = Plugins()
    assert sorted(one.status for one in found.reports() if one.name == "same") == ["broken", "ok"]
    assert [card.name for card in found.cards("heads")] == ["first"]


def test_a_name_that_two_plugins_offer_belongs_to_neither(write_plugin: Write) -> None:
    found = write_plugin("rival", head("rival", "table"))
    complaint = "head 'table' is offered by 'hspace-heads' and 'rival'; set HSPACE_DISABLE to all but one of them"
    with pytest.raises(HspaceError, match=complaint):
        found.find("heads", "table")
    assert "table" not in {card.name for card in found.cards("heads")}
    assert "delta-block" in {card.name for card in found.cards("heads")}
    for name in ("rival", "hspace-heads"):
        assert (report(found, name).status, report(found, name).detail) == ("warning", complaint)


def test_blocking_one_of_two_gives_the_name_to_the_other(write_plugin: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-heads")
    assert write_plugin("rival", head("rival", "table")).find("heads", "table").plugin == "rival"


def test_a_plugin_that_offers_a_name_twice_is_told_to_rename_one(write_plugin: Write) -> None:
    card = "hspace.Card('same', 'a:b', '')"
    source = f"import hspace\n@hspace.hookimpl\ndef hspace_heads(): return [{card}, {card}]\n"
    found = write_plugin("twice", source)
    with pytest.raises(HspaceError, match="'twice' offers two heads called 'same'; it must rename one"):
        found.find("heads", "same")


def test_an_unknown_name_is_answered_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match=r"called 'tabel'; did you mean 'table'.*See 'hspace list-heads'"):
        plugins().find("heads", "tabel")


def test_hspace_trace_prints_every_hook_call(tmp_path: Path) -> None:
    quiet = in_process("from hspace.plugins import plugins; plugins()", tmp_path)
    traced = in_process("from hspace.plugins import plugins; plugins()", tmp_path, HSPACE_TRACE="1")
    assert quiet.stderr == ""
    assert "hspace_heads" in traced.stderr
    assert "hspace_zoos" in traced.stderr


def test_a_damaged_zoo_card_is_reported_and_harms_nobody(write_plugin: Write, tmp_path: Path) -> None:
    folder = tmp_path / "zoo" / "backbones" / "bad"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    path = str(tmp_path / "zoo")
    found = write_plugin("zookeeper", f"import hspace\n@hspace.hookimpl\ndef hspace_zoos(): return [{path!r}]\n")
    assert report(found, "zookeeper").status == "warning"
    assert "card.json is no card of backbones" in report(found, "zookeeper").detail
    assert unharmed(found)
