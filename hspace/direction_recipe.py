"""Recipes of directions: TOML files that say all that `hspace discover` is asked for, as far as it is known."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from hspace import recipes
from hspace.errors import UsageError
from hspace.settings import check_settings

Prompt = Annotated[str, Field(min_length=1)]


class DirectionRecipe(BaseModel):
    """How a direction is found: the arguments of `hspace.discover`, with the settings of the finder under `settings`.

    What nobody published is left away. The latents are those of `samples` pictures of `data`, inverted in `steps`, or
    `drawn`; the pictures themselves are for the user to give. `published` is the direction that was found so, as
    `hspace pull` knows it, and `source` says who tells.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["direction"]
    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]*$")
    summary: str
    source: str | None = None
    finder: str
    backbone: str
    prompts: tuple[Prompt, Prompt] | None = None
    encoder: str | None = None
    data: str | None = None
    latents: Literal["inverted", "drawn"] | None = None
    samples: PositiveInt | None = None
    steps: PositiveInt | None = None
    seed: NonNegativeInt | None = None
    settings: dict[str, Any] = {}
    published: str | None = None

    @model_validator(mode="after")
    def _has_a_direction(self) -> Self:
        if self.prompts is not None and self.prompts[0] == self.prompts[1]:
            raise ValueError("the two prompts are equal, so there is no direction between them")
        return self

    def arguments(self) -> dict[str, Any]:
        """What `hspace.discover` is called with; what the recipe leaves open is not among it."""
        asked = {
            name: getattr(self, name)
            for name in ("name", "finder", "backbone", "prompts", "encoder", "samples", "steps", "seed")
        }
        return {**{name: value for name, value in asked.items() if value is not None}, "config": self.settings}


def read_direction_recipe(name: str) -> DirectionRecipe:
    """The direction's recipe of that name in an installed zoo, or in that TOML file.

    Raises NotFoundError with the nearest names, also for a finder that is not there, UsageError when it is a recipe of
    another kind or not a sound one, or has a setting that its finder or its head does not take.
    """
    recipe = recipes.find(name)
    content = recipe.content()
    if content["kind"] != "direction":
        raise UsageError(f"{recipe.path} is a recipe of a {content['kind']}, not of a direction")
    try:
        found = DirectionRecipe.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(f"{recipe.path} is no recipe of a direction: {problems}") from error
    check_settings(found.settings, "finders", found.finder, str(recipe.path))
    return found
