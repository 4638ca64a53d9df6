"""`hspace discover --recipe`: what a recipe says holds, and what is said on the command line wins."""

from pathlib import Path

import pytest

from hspace.cli.asking import by_part, config_of

from .conftest import BACKBONE, Cli

RECIPE = f"""
kind = "direction"
name = "mine"
summary = "two directions"
finder = "jacobian-svd"
backbone = "{BACKBONE}"
samples = 1
steps = 4
settings = {{ k = 2 }}
"""
SMILING = {"head": "delta-block", "head_config": {"form": "pesser"}, "rate": 0.5, "fidelity": "official"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of one's own."""
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_says_all_that_discover_asks_for(cli: Cli, recipe: Path) -> None:
    answer = cli("discover", "--recipe", recipe, "--json").json
    assert [one["id"] for one in answer["directions"]] == [f"{BACKBONE}/mine.jacobian-svd#{k}" for k in (0, 1)]


def test_options_win(cli: Cli, recipe: Path) -> None:
    answer = cli("discover", "--recipe", recipe, "-k", 1, "--name", "other", "--steps", 3, "--json").json
    (row,) = answer["directions"]
    assert row["id"] == f"{BACKBONE}/other.jacobian-svd"
    (direction,) = cli("show", row["id"], "--json").json["found"]
    assert direction["steps"] == 3


def test_a_published_recipe_runs_on_the_backbone_that_is_named(cli: Cli) -> None:
    """With random weights nothing can be learnt, and the answer tells of the recipe's prompt."""
    quick = ("--samples", 2, "--steps", 2, "--set", "t_edit=500")
    answer = cli("discover", "--recipe", "smiling", "--backbone", BACKBONE, "--encoder", "toyclip", *quick)
    assert answer.code == 5
    assert "towards 'smiling face'" in answer.err


def test_what_a_recipe_would_cost_is_said_with_the_options_that_win(cli: Cli) -> None:
    quick = ("--samples", 2, "--steps", 3, "--set", "t_edit=500", "--set", "t_boost=0", "--set", "epochs=5")
    asked = ("--recipe", "smiling", "--backbone", BACKBONE, "--encoder", "toyclip")
    stages = {one["stage"]: one for one in cli("discover", *asked, *quick, "--estimate", "--json").json["stages"]}
    assert list(stages) == ["unedited", "training", "measuring", "drawing", "all"]
    assert stages["training"]["decoder_with_graph"] == 5 * 2 * len([999])


def test_an_unknown_recipe_is_not_found(cli: Cli) -> None:
    answer = cli("discover", "--recipe", "smilling")
    assert answer.code == 4
    assert "did you mean 'smiling'" in answer.err


@pytest.mark.parametrize(
    ("settings", "head", "expected"),
    [
        (["rate=0.1"], None, {**SMILING, "rate": 0.1}),
        (["head.time=none"], None, {**SMILING, "head_config": {"form": "pesser", "time": "none"}}),
        ([], "table", {"head": "table", "rate": 0.5, "fidelity": "official"}),
    ],
)
def test_a_setting_replaces_the_recipes_and_another_head_drops_those_of_its_head(
    settings: list[str], head: str | None, expected: dict[str, object]
) -> None:
    parts = by_part(settings)
    assert config_of("asyrp", parts[""], parts["head"], SMILING, head=head) == expected
