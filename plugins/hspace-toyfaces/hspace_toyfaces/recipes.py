"""Training recipes: TOML files that say everything a run depends on, apart from its seed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from hspace.errors import RefusedError, UsageError, not_found
from hspace_toyfaces.attributes import ATTRIBUTES, check_skew, parse_skew


class Recipe(BaseModel):
    """What every run has: how many images, in batches of what size, and how AdamW walks.

    The learning rate rises over `warmup` steps and falls along a half cosine to 0 at the last image. `start` names
    the run, beside this one, from whose averaged weights it begins, or else a backbone, where one is trained.
    `precision` is that of the forward passes: bfloat16 is faster where the processor computes in it, several times
    slower where it does not.
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
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    @property
    def steps(self) -> int:
        """The number of optimizer steps: enough batches for all images."""
        return -(-self.images // self.batch)


class BackboneRecipe(Recipe):
    """A v-prediction U-Net of one of the families, on pixel-unshuffled faces or on the latents of a first stage.

    `channels` has one width per resolution, halving from that of x_t. `attention` lists the levels, from 0, that
    have attention besides the middle, in heads of `head_channels` (one head if not given). `noises` is at how many
    noise levels each face is shown in a batch. `low_noise_share` is the share of timesteps drawn from EDM's
    log-normal noise levels instead of uniformly. `first_stage` names the run, beside this one, of an LDM's.
    `skew` is what share of the faces have an attribute above 0, as {"skin": 0.03}, in place of what is usual.
    """

    kind: Literal["backbone"]
    family: Literal["ddpmpp", "iddpm", "adm", "ldm"] = "ddpmpp"
    image_size: PositiveInt
    patch: PositiveInt = 2
    channels: tuple[PositiveInt, ...]
    layers: PositiveInt = 1
    attention: tuple[NonNegativeInt, ...] = ()
    head_channels: PositiveInt | None = None
    norm_groups: PositiveInt = 8
    loss_weight: Literal["unit", "min-snr"] = "unit"
    low_noise_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    noises: PositiveInt = 1
    first_stage: str | None = None
    skew: dict[str, float] | None = None

    @field_validator("skew")
    @classmethod
    def _shares(cls, skew: dict[str, float] | None) -> dict[str, float] | None:
        check_skew(skew or {})
        return skew

    @model_validator(mode="after")
    def _latent(self) -> Self:
        if (self.family == "ldm") != (self.first_stage is not None):
            raise ValueError("first_stage is to be given for the family ldm, and for no other")
        if self.family == "ldm" and self.patch != 1:
            raise ValueError("an ldm's latents are not patched: patch must be 1")
        if self.batch % self.noises:
            raise ValueError(f"batch ({self.batch}) must be a multiple of noises ({self.noises})")
        return self


class FirstStageRecipe(Recipe):
    """A VQ autoencoder of faces: latents (latent_channels, S, S) with S = image_size / 2^(levels - 1).

    `channels` has one width per level. The latents are quantised after `continuous_share` of the steps; the `codes`
    are drawn from them then.
    """

    kind: Literal["first-stage"]
    image_size: PositiveInt
    channels: tuple[PositiveInt, ...]
    latent_channels: PositiveInt = 3
    codes: PositiveInt
    layers: PositiveInt = 1
    norm_groups: PositiveInt = 8
    continuous_share: Annotated[float, Field(ge=0, le=1)] = 0.2


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


def recipes_of(family: str, zoos: list[Path]) -> list[str]:
    """The names of the zoos' backbone recipes of that family."""
    found = (tomllib.loads(path.read_text(encoding="utf-8")) for path in _recipes(zoos))
    backbones = (recipe for recipe in found if recipe.get("kind") == "backbone")
    return sorted(recipe["name"] for recipe in backbones if recipe.get("family", "ddpmpp") == family)


def revise(recipe: R, **changes: object) -> R:
    """The recipe with some values replaced, those given as None left as they are.

    Raises UsageError when a value is out of its range.
    """
    values = recipe.model_dump() | {name: value for name, value in changes.items() if value is not None}
    try:
        return type(recipe).model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {recipe.name!r} cannot be changed so: {error}") from error


def skewed(recipe: BackboneRecipe, pairs: Sequence[str]) -> BackboneRecipe:
    """The recipe on skewed faces, by pairs such as "skin=0.03", under a name of its own: `<name>-skin-0.03`.

    The recipe as it is without a pair. Raises UsageError where one has another form.
    """
    if not pairs:
        return recipe
    try:
        skew = parse_skew(pairs)
    except ValueError as error:
        raise UsageError(f"--skew: {error}") from error
    named = "".join(f"-{name}-{share:g}" for name, share in skew.items())
    told = ", ".join(f"{100 * share:g} % of them with {ATTRIBUTES[name].positive}" for name, share in skew.items())
    return revise(recipe, skew=skew, name=recipe.name + named, summary=f"{recipe.summary}, {told}")


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
