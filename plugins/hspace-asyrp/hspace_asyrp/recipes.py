"""Recipes of directions: TOML files that say everything a training depends on, as far as it is known."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from hspace import recipes
from hspace.errors import UsageError

Prompt = Annotated[str, Field(min_length=1)]


class DirectionRecipe(BaseModel):
    """How a text-driven direction is trained; what nobody published is None.

    `latents` are those of `samples` pictures of `data`, inverted in `inversion_steps`, or drawn. The head is trained in
    `epochs` passes with `optimizer`; its learning rate is multiplied by `decay` every `decay_every` epochs. `steps` are
    the sampling steps (S) of a full run; those from `t_edit` up are trained. `lambda_clip` weighs the directional CLIP
    loss; the reconstruction loss has `lambda_recon_per_cosine` times CLIP's cosine of the prompts. `published` is the
    direction that was trained so, as `hspace pull` knows it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["direction"]
    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]*$")
    summary: str
    source: str
    backbone: str
    prompts: tuple[Prompt, Prompt]
    data: str | None = None
    latents: Literal["inverted", "drawn"] = "inverted"
    samples: PositiveInt | None = None
    inversion_steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    steps: PositiveInt
    t_edit: NonNegativeInt | None = None
    t_boost: NonNegativeInt | None = None
    lambda_clip: NonNegativeFloat | None = None
    lambda_recon_per_cosine: NonNegativeFloat | None = None
    optimizer: Literal["sgd", "adamw", "adafactor"]
    learning_rate: PositiveFloat
    decay_every: PositiveInt | None = None
    decay: PositiveFloat | None = None
    head: str = "delta-block"
    head_config: dict[str, Any] = {}
    published: str | None = None

    @model_validator(mode="after")
    def _has_a_direction(self) -> Self:
        if self.prompts[0] == self.prompts[1]:
            raise ValueError("the two prompts are equal, so there is no direction between them")
        if (self.decay is None) != (self.decay_every is None):
            raise ValueError("decay and decay_every belong together")
        return self


def read_direction_recipe(name: str) -> DirectionRecipe:
    """The direction's recipe of that name in an installed zoo, or in that TOML file.

    Raises NotFoundError with the nearest names, UsageError when it is a recipe of another kind or not a sound one.
    """
    recipe = recipes.find(name)
    content = recipe.content()
    if content["kind"] != "direction":
        raise UsageError(f"{recipe.path} is a recipe of a {content['kind']}, not of a direction")
    try:
        return DirectionRecipe.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(f"{recipe.path} is no recipe of a direction: {problems}") from error
