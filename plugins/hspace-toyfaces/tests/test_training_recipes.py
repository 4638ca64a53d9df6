"""Recipes say everything a run depends on, and are refused when they say something else."""

import json
from pathlib import Path

import pytest

from hspace.errors import NotFoundError, UsageError
from hspace_toyfaces.architectures import build_unet
from hspace_toyfaces.recipes import BackboneRecipe, RegressorRecipe, read_recipe, recipes_of, revise

ZOO = Path(__file__).parents[3] / "zoo"
DDPMPP = ["ddpmpp-toyfaces-32", "ddpmpp-toyfaces-64", "ddpmpp-toyfaces-64-base"]
PIXEL = [*DDPMPP, "iddpm-toyfaces-32", "adm-toyfaces-32"]
BACKBONES = [*PIXEL, "ldm-toyfaces-64"]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_zoo_recipe_has_the_name_of_its_file(name: str) -> None:
    assert read_recipe(BackboneRecipe, name, [ZOO]).name == name


@pytest.mark.parametrize("name", PIXEL)
def test_a_zoo_backbone_has_an_8x8_bottleneck_and_fits_into_9_mb(name: str) -> None:
    recipe = read_recipe(BackboneRecipe, name, [ZOO])
    side = recipe.image_size // recipe.patch
    assert side >> (len(recipe.channels) - 1) == 8
    assert 2 * sum(weight.numel() for weight in build_unet(recipe, 3 * recipe.patch**2, side).parameters()) < 9e6


def test_the_last_batch_may_go_beyond_the_images() -> None:
    recipe = read_recipe(BackboneRecipe, BACKBONES[0], [ZOO])
    assert revise(recipe, images=33, batch=32).steps == 2


def test_none_changes_nothing() -> None:
    recipe = read_recipe(BackboneRecipe, BACKBONES[0], [ZOO])
    assert revise(recipe, images=None) == recipe


def test_a_change_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="'ddpmpp-toyfaces-32' cannot be changed so"):
        revise(read_recipe(BackboneRecipe, BACKBONES[0], [ZOO]), images=0)


def test_a_file_may_be_named_instead(tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_bytes((ZOO / "recipes" / "toyfaces-regressor.toml").read_bytes())
    assert read_recipe(RegressorRecipe, str(copy), []).name == "toyfaces"


def test_an_unknown_name_lists_those_that_are_close() -> None:
    with pytest.raises(NotFoundError, match="or 'ddpmpp-toyfaces-32'"):
        read_recipe(BackboneRecipe, "ddpm-toyfaces-32", [ZOO])


@pytest.mark.parametrize("text", ["kind = 'backbone'", "colour = 1", "not toml"])
def test_what_is_not_a_recipe_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=r"mine\.toml is not a BackboneRecipe"):
        read_recipe(BackboneRecipe, str(tmp_path / "mine.toml"), [])


def test_recipes_are_found_by_their_family() -> None:
    assert recipes_of("ddpmpp", [ZOO]) == DDPMPP
    assert [recipes_of(family, [ZOO]) for family in ("iddpm", "adm")] == [[name] for name in PIXEL[-2:]]
    assert recipes_of("ldm", [ZOO]) == ["ldm-toyfaces-64", "ldm-toyfaces-64-base"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"first_stage": None}, "first_stage is to be given for the family ldm"),
        ({"patch": 2}, "patch must be 1"),
        ({"noises": 5}, "must be a multiple of noises"),
    ],
)
def test_what_a_latent_recipe_cannot_be_is_refused(changes: dict[str, object], told: str, tmp_path: Path) -> None:
    recipe = read_recipe(BackboneRecipe, "ldm-toyfaces-64", [ZOO]).model_dump(mode="json", exclude_none=True) | changes
    lines = [f"{name} = {json.dumps(value)}" for name, value in recipe.items() if value is not None]
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=told):
        read_recipe(BackboneRecipe, str(tmp_path / "mine.toml"), [])
