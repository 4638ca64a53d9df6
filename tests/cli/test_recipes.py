"""`hspace recipes`: what they are and what they say."""

from pathlib import Path

from .conftest import Cli


def test_the_recipes_of_all_kinds_are_listed(cli: Cli) -> None:
    rows = {one["name"]: one for one in cli("recipes", "list", "--json").json["recipes"]}
    assert rows["smiling"]["kind"] == "direction"
    assert rows["toyfaces-regressor"]["kind"] == "regressor"
    assert rows["ddpmpp-toyfaces-32"]["summary"] == "DDPM++ on rendered toy faces, 32x32"
    assert "smiling" in cli("recipes", "list").out


def test_a_list_can_be_of_one_kind(cli: Cli) -> None:
    rows = cli("recipes", "list", "--kind", "direction", "--json").json["recipes"]
    assert {one["kind"] for one in rows} == {"direction"}
    assert len(rows) >= 35


def test_a_recipe_is_shown_in_full(cli: Cli) -> None:
    assert 'prompts = ["face", "smiling face"]' in cli("recipes", "show", "smiling").out
    answer = cli("recipes", "show", "smiling", "--json").json
    assert answer["recipe"]["settings"]["t_edit"] == 513
    assert Path(answer["path"]).name == "smiling.toml"


def test_an_unknown_recipe_is_not_found(cli: Cli) -> None:
    answer = cli("recipes", "show", "smilling")
    assert answer.code == 4
    assert "no recipe is called 'smilling'; did you mean 'smiling'" in answer.err


def test_a_file_of_ones_own_is_shown_or_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('kind = "direction"\n')
    assert cli("recipes", "show", "mine.toml", "--json").json["recipe"] == {"kind": "direction"}
    (tmp_path / "mine.toml").write_text("kind = \n")
    answer = cli("recipes", "show", "mine.toml")
    assert answer.code == 3
    assert "mine.toml is not TOML" in answer.err
