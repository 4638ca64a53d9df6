"""Training recipes: TOML files that say everything a run depends on, apart from its seed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from hspace.errors import RefusedError, UsageError, not_found


class Recipe(BaseModel):
    """What every run has: how many images, in batches of what size, and how AdamW walks.

    The learning rate rises over `warmup` steps and falls along a half cosine to 0 at the last image. `start` names
    the run, beside this one, from whose averaged weights it begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    images: PositiveInt
    batch: PositiveInt
    learning_rate: PositiveFloat
    warmup: PositiveInt = 150
    weight_decay: NonNegativeFloat = 0.01
    clip: PositiveFloat = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    start: str | None = None

    @property
    def steps(self) -> int:
        """The number of optimizer steps: enough batches for all images."""
        return -(-self.images // self.batch)


class BackboneRecipe(Recipe):
    """A v-prediction U-Net of the DDPM++ family on pixel-unshuffled faces.

    `channels` has one width per resolution, halving from image_size / patch. `low_noise_share` is the share of
    timesteps drawn from EDM's log-normal noise levels instead of uniformly.
    """

    kind: Literal["backbone"]
    image_size: PositiveInt
    patch: PositiveInt = 2
    channels: tuple[PositiveInt, ...]
    norm_groups: PositiveInt = 8
    loss_weight: Literal["unit", "min-snr"] = "unit"
    low_noise_share: Annotated[float, Field(ge=0, le=1)] = 0.5


class RegressorRecipe(Recipe):
    """A convolutional net that reads a face's attributes from its pixels.

    `noise` is the largest standard deviation of the noise that is added to the images, which are in [-1, 1].
    """

    kind: Literal["regressor"]
    image_sizes: tuple[PositiveInt, ...]
    channels: tuple[PositiveInt, ...]
    features: PositiveInt
    noise: NonNegativeFloat = 0.1


R = TypeVar("R", bound=Recipe)


def read_recipe(kind: type[R], recipe: str, zoos: list[Path]) -> R:
    """The recipe in a TOML file, or the one of that name under `recipes/` in one of the zoos.

    Raises NotFoundError when there is neither, UsageError when it is not a recipe of this kind.
    """
    path = _locate(recipe, zoos)
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a {kind.__name__}: {error}") from error


def revise(recipe: R, **changes: object) -> R:
    """The recipe with some values replaced, those given as None left as they are.

    Raises UsageError when a value is out of its range.
    """
    values = recipe.model_dump() | {name: value for name, value in changes.items() if value is not None}
    try:
        return type(recipe).model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {recipe.name!r} cannot be changed so: {error}") from error


def same_recipe(recipe: Recipe, stored: object, folder: Path) -> None:
    """Raises RefusedError, naming what differs, unless the recipe is the one a run was begun with."""
    asked = recipe.model_dump(mode="json")
    found = stored if isinstance(stored, dict) else {}
    differ = [name for name in asked | found if asked.get(name) != found.get(name)]
    if differ:
        was = ", ".join(f"{name} = {found.get(name)!r} and not {asked.get(name)!r}" for name in sorted(differ))
        raise RefusedError(
            f"the run in {folder} was begun with {was}. Continue it with that recipe, "
            f"choose another folder with --out, or begin anew with --fresh."
        )


def _locate(recipe: str, zoos: list[Path]) -> Path:
    if Path(recipe).suffix == ".toml" and Path(recipe).is_file():
        return Path(recipe)
    known = {path.stem: path for path in _recipes(zoos)}
    if recipe not in known:
        raise not_found("recipe", recipe, known, "Give one of these names, or the path of a .toml file.")
    return known[recipe]


def _recipes(zoos: list[Path]) -> Iterator[Path]:
    for zoo in zoos:
        yield from sorted((zoo / "recipes").glob("*.toml"))
