"""Recipes of directions: every one in the zoos is sound, and what is not says where."""

from pathlib import Path

import pytest

from hspace import discovery
from hspace.direction_recipe import read_direction_recipe
from hspace.errors import NotFoundError, UsageError
from hspace.recipes import recipes

NAMES = [str(one.path) for one in recipes() if one.content()["kind"] == "direction"]
SOUND = {
    "kind": '"direction"', "name": '"mine"', "summary": '"mine"', "finder": '"asyrp"', "backbone": '"mine"',
    "prompts": '["face", "smiling face"]', "steps": "40",
}  # fmt: skip


def recipe_file(folder: Path, *lines: str) -> str:
    path = folder / "mine.toml"
    given = {**SOUND, **dict(line.split(" = ", 1) for line in lines)}
    path.write_text("\n".join(f"{key} = {value}" for key, value in given.items()))
    return str(path)


def test_there_are_the_published_ones_and_those_of_the_toy_faces() -> None:
    assert len(NAMES) >= 37


@pytest.mark.parametrize("path", NAMES, ids=lambda path: Path(path).stem)
def test_every_recipe_in_the_zoos_can_be_built(path: str) -> None:
    recipe = read_direction_recipe(path)
    assert discovery.build_finder(recipe.finder, recipe.settings)
    assert recipe.arguments()["prompts"] == recipe.prompts


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('prompts = ["face", "face"]', "the two prompts are equal, so there is no direction between them"),
        ('prompts = ["face", ""]', "prompts.1: String should have at least 1 character"),
        ("lambda_l2 = 3.0", "lambda_l2: Extra inputs are not permitted"),
        ("steps = 0", "steps: Input should be greater than 0"),
        ("settings = { l2 = 3.0 }", "finder 'asyrp' has no setting 'l2'; it takes head, t_edit"),
        ('settings = { epochs = "4" }', r"mine.toml: epochs: input should be a valid integer; it is '4'"),
        ('settings = { fidelity = "exact" }', "mine.toml: fidelity: input should be 'natural', 'paper' or 'official'"),
    ],
)
def test_a_recipe_that_is_not_sound_says_where(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_direction_recipe(recipe_file(tmp_path, line))


def test_a_recipe_for_a_finder_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no finder is called 'asyrpp'; did you mean 'asyrp'"):
        read_direction_recipe(recipe_file(tmp_path, 'finder = "asyrpp"'))


def test_a_whole_number_may_stand_for_a_real_one(tmp_path: Path) -> None:
    assert read_direction_recipe(recipe_file(tmp_path, "settings = { recon = 3 }")).settings == {"recon": 3}


def test_a_recipe_of_another_kind_is_not_a_directions() -> None:
    with pytest.raises(UsageError, match="is a recipe of a regressor, not of a direction"):
        read_direction_recipe("toyfaces-regressor")


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no recipe is called 'smilling'; did you mean 'smiling'"):
        read_direction_recipe("smilling")
