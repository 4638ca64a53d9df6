"""The list commands, `show`, `plugins` and `doctor`."""

import sys
from pathlib import Path

import pytest

from hspace.cards import SINGULAR

from .conftest import BACKBONE, Cli

LISTED = sorted(SINGULAR)


@pytest.mark.parametrize("kind", LISTED)
def test_every_list_is_one_json_object_of_its_kind(cli: Cli, kind: str) -> None:
    answer = cli(f"list-{kind}", "--json")
    assert answer.code == 0
    assert answer.json["schema_version"] == 1
    assert isinstance(answer.json[kind], list)


def test_a_backbone_in_json_has_the_documented_keys(cli: Cli) -> None:
    backbones = {one["name"]: one for one in cli("list-backbones", "--json").json["backbones"]}
    keys = {"name", "family", "plugin", "summary", "x_shape", "h_shape", "licence", "source", "weights"}
    assert set(backbones[BACKBONE]) == keys
    assert backbones[BACKBONE]["weights"] == "bundled"
    assert backbones["ddpmpp"]["weights"] == "bring-your-own"


def test_the_table_names_every_backbone_of_the_json(cli: Cli) -> None:
    names = [one["name"] for one in cli("list-backbones", "--json").json["backbones"]]
    table = cli("list-backbones").out
    assert all(f"{name} " in table for name in names)


def test_a_table_reads_like_this(cli: Cli) -> None:
    table = (
        "name         needs  plugin        summary\n"
        "delta-block  -      hspace-heads  Asyrp's implicit function f_t: two 1x1 convolutions around the time embe"
        "dding\n"
        "table        -      hspace-heads  explicit delta_h: a vector, one per timestep, or the components of a bas"
        "is\n"
        "transformer  -      hspace-heads  f_t with transformers in place of the convolutions, over pixels, channel"
        "s, or both\n"
    )
    assert [line.rstrip() for line in cli("list-heads").out.splitlines()] == [
        line.rstrip() for line in table.splitlines()
    ]


def test_no_directions_says_how_to_find_some(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-zoo")
    from hspace.plugins import plugins

    plugins.cache_clear()
    assert "hspace discover --unsupervised" in cli("list-directions").out


def test_show_says_the_options_of_a_head(cli: Cli) -> None:
    rows = dict(line.split(maxsplit=1) for line in cli("show", "transformer").out.splitlines() if "options." in line)
    assert rows["options.tokens"].strip() == "pixel, channel, pixel-channel, channel-pixel"
    assert rows["options.time"].strip() == "add, multiply, adagn, none"


def test_show_prints_a_card_in_full(cli: Cli) -> None:
    (card,) = cli("show", BACKBONE, "--json").json["found"]
    assert card["kind"] == "backbone"
    assert card["target"] == "hspace_backbones.ddpmpp:tiny"
    assert card["facts"]["h_site"] == "mid.out"


def test_show_prints_a_direction_in_full(cli: Cli, found: str) -> None:
    (direction,) = cli("show", f"{found}#1", "--json").json["found"]
    assert direction["id"] == found
    assert direction["provenance"]["finder"] == "jacobian-svd"
    assert found in cli("show", found).out


def test_show_of_an_unknown_name_suggests_the_nearest_and_exits_with_4(cli: Cli) -> None:
    answer = cli("show", "ddpmpp-random-tinny")
    assert answer.code == 4
    assert "no card or direction is called 'ddpmpp-random-tinny'; did you mean 'ddpmpp-random-tiny'" in answer.err


def test_plugins_lists_our_own_as_ok(cli: Cli) -> None:
    statuses = {one["name"]: one["status"] for one in cli("plugins", "--json").json["plugins"]}
    assert statuses["hspace-backbones"] == statuses["hspace-zoo"] == "ok"


def test_doctor_finds_this_machine_in_order(cli: Cli) -> None:
    answer = cli("doctor", "--json")
    assert answer.code == 0
    checks = {one["check"]: one["status"] for one in answer.json["checks"]}
    assert checks["torch"] == checks["registry folder"] == checks["working folder"] == "ok"


def test_an_unknown_command_exits_with_2(cli: Cli) -> None:
    assert cli("list-backbone").code == 2


def test_doctor_recognises_a_torchvision_of_another_torch_and_says_the_mend(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)  # a head's blocks may have brought it
    answer = cli("doctor", "--json")
    assert answer.code == 1
    (check,) = [one for one in answer.json["checks"] if one["check"] == "torchvision loads"]
    assert check["status"] == "bad"
    assert "uv pip uninstall torchvision" in check["mend"]
