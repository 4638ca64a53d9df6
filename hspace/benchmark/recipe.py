"""What a benchmark is: a recipe that says on what, for what, with how much, and by which numbers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from hspace import recipes
from hspace.errors import UsageError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Part):
    """What is to change: in words, for finders that read them, and the settings by which metrics measure it.

    `sign` is 1 where more of the `effect` is meant, -1 where less.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]*$")
    prompts: tuple[str, str]
    sign: Literal[-1, 1] = 1
    config: dict[str, dict[str, Any]] = {}


class Column(_Part):
    """A number of the leaderboard: the result of a metric, by its name and the pair of pictures that it compares."""

    title: str
    result: str
    pair: str = ""


class BenchmarkRecipe(_Part):
    """A benchmark of all that finds directions.

    They are found on `samples` latents of seed `find_seed`, in `steps`, with `settings` by finder. The strength at
    which each is compared is that at which it reaches `reach` of the effect (the first column), or the end of its
    range, on `tune` pictures of seed `tune_seed`; then it is measured on `n` pictures of each of `seeds`, which are
    other ones. The second column ranks them: the smaller, the better.
    """

    kind: Literal["benchmark"]
    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]*$")
    summary: str
    backbones: tuple[str, ...] = Field(min_length=1)
    source: str
    source_config: dict[str, Any] = {}
    encoder: str | None = None
    targets: tuple[Target, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    columns: tuple[Column, ...] = Field(min_length=2)
    reach: PositiveFloat
    samples: PositiveInt | None = None
    find_seed: NonNegativeInt = 0
    tune: PositiveInt = 8
    tune_seed: NonNegativeInt = 0
    n: PositiveInt = 32
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    steps: PositiveInt = 40
    settings: dict[str, dict[str, Any]] = {}

    def model_post_init(self, context: Any) -> None:
        """Refuses a benchmark that would tune on what it reports."""
        if self.tune_seed in self.seeds:
            raise ValueError(f"seed {self.tune_seed} chooses the strengths, so it cannot be one of those reported")


def read_benchmark(name: str, **changes: Any) -> BenchmarkRecipe:
    """The benchmark of that name in an installed zoo, or in that TOML file, with some values replaced (not by None).

    Raises NotFoundError with the nearest names, UsageError when it is a recipe of another kind or not a sound one.
    """
    recipe = recipes.find(name)
    content = recipe.content()
    if content["kind"] != "benchmark":
        raise UsageError(f"{recipe.path} is a recipe of a {content['kind']}, not of a benchmark")
    try:
        return BenchmarkRecipe.model_validate(content | {key: one for key, one in changes.items() if one is not None})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(f"{recipe.path} is no recipe of a benchmark: {problems}") from error
