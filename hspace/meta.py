"""direction.json: all that is known of a direction but its weights, readable without torch."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hspace.errors import NotFoundError, RefusedError, UsageError

META_FILE = "direction.json"
WEIGHTS_FILE = "weights.safetensors"
ID = re.compile(r"(?P<backbone>[A-Za-z0-9][\w.-]*)/(?P<what>[a-z0-9][a-z0-9_-]*)\.(?P<how>[a-z0-9][a-z0-9_-]*)")
"""`<backbone>/<what>.<how>`: names that are also safe folders on every system."""
SPACES = ("h", "x")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneRef(_Part):
    """The backbone a direction belongs to, recognised by the fingerprint of its h, and what it was bound to.

    Without a fingerprint nothing tells the backbone from another; the direction is then refused on every one.
    """

    id: str
    h_shape: tuple[int, int, int]
    h_site: str = "mid.out"
    fingerprint: Annotated[tuple[float, ...], Field(min_length=8, max_length=8)] | None = None
    condition: dict[str, Any] = {}


class HeadRef(_Part):
    """The head that reads the weights: a card's name and what its `build` is called with.

    `scale` is what its answer is multiplied with, so that strength 1 means something.
    """

    name: str
    config: dict[str, Any] = {}
    scale: float = 1.0

    @field_validator("config")
    @classmethod
    def _counts_its_components(cls, config: dict[str, Any]) -> dict[str, Any]:
        components = config.get("components", 1)
        if type(components) is not int or components < 1:
            raise ValueError(f"components must be a whole number from 1; {components!r} was given")
        return config


class _Moves(_Part):
    """How a direction of space "x" moves x_t; its weights hold `vectors`, one for each component.

    A vector v (C, H, W) is as long as strength 1 means.
    """

    components: int = Field(default=1, ge=1)


class OneShot(_Moves):
    """x_t + strength v."""

    kind: Literal["one-shot"] = "one-shot"


class Guidance(_Moves):
    """x-space guidance: x <- x + gamma [eps(x + strength v) - eps(x)], so many times."""

    kind: Literal["guidance"] = "guidance"
    gamma: float = Field(gt=0)
    iterations: int = Field(ge=1)


class AlongPath(_Moves):
    """Along a stored path, as geodesic shooting leaves one; `strengths` says how far along each of its points is.

    A component is then (P, C, H, W): where x_t is displaced to at each of the P strengths.
    """

    kind: Literal["path"] = "path"
    strengths: tuple[float, ...]

    @field_validator("strengths")
    @classmethod
    def _goes_through_0(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        if len(strengths) < 2 or 0.0 not in strengths or any(low >= high for low, high in pairwise(strengths)):
            raise ValueError(f"the strengths of a path must rise, and 0 is one of them; {strengths} was given")
        return strengths


Move = OneShot | Guidance | AlongPath


class Strength(_Part):
    """The strength to use when none is said, and the range that was looked at."""

    default: float = 1.0
    min: float
    max: float

    def sides(self) -> list[float]:
        """The ends of the range and half of each, in rising order, without 0."""
        return sorted({end * share for end in (self.min, self.max) for share in (0.5, 1.0)} - {0.0})


class Scope(_Part):
    """Where a direction holds: everywhere, or around one x_T (drawn from a seed, or inverted from a picture)."""

    kind: Literal["global", "local"]
    x_T_seed: int | None = None
    image_sha256: str | None = None


class Measurement(_Part):
    """One measured number; `component` says of which part of a basis. A number nobody measured is absent."""

    name: str
    value: float
    n: int
    protocol: str
    component: int | None = None


class Provenance(_Part):
    """How a direction came to be."""

    finder: str
    config: dict[str, Any] = {}
    data: str | None = None
    source: str | None = None
    source_sha256: str | None = None
    licence: str | None = None
    hspace: str | None = None
    commit: str | None = None
    date: str | None = None


class WeightsRef(_Part):
    """Where the weights are, and the sha256 that ties them to this description."""

    file: str | None = None
    url: str | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("file")
    @classmethod
    def _stays_in_the_folder(cls, file: str | None) -> str | None:
        if file is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", file):
            raise ValueError(f"{file!r} is not a plain file name")
        return file


class Meta(_Part):
    """All of a direction but its weights: the content of direction.json, readable without torch.

    Its window is t_edit <= t <= t_start; no t_start is from the first step of sampling on. A direction of space "h" has
    a head, which shifts h in this window; one of space "x" a move, which moves x_t once, at t_edit.
    """

    format: Literal[1] = 1
    id: str = Field(pattern=f"^{ID.pattern}$")
    backbone: BackboneRef
    space: Literal["h", "x"] = "h"
    head: HeadRef | None = None
    move: Annotated[Move, Field(discriminator="kind")] | None = None
    mode: Literal["asymmetric", "symmetric"] = "asymmetric"
    steps: int = Field(ge=1)
    t_edit: int = Field(ge=0)
    t_boost: int | None = None
    t_start: int | None = None
    strength: Strength
    scope: Scope
    labels: tuple[str, ...] = ()
    prompts: tuple[str, str] | None = None
    metrics: tuple[Measurement, ...] = ()
    provenance: Provenance
    weights: WeightsRef | None = None

    @property
    def components(self) -> int:
        """How many directions the weights hold; more than 1 for a basis, from which `#k` picks one."""
        return self.move.components if self.move else int(self.require_head().config.get("components", 1))

    def require_head(self) -> HeadRef:
        """Its head. Raises UsageError when it has none, being of space "x"."""
        if self.head is None:
            raise UsageError(
                f"direction {self.id!r} is of space 'x': it moves x_t at t = {self.t_edit} and shifts no h, which is "
                f"what this works on. Apply it with 'hspace edit', or give a direction of space 'h' here."
            )
        return self.head

    @model_validator(mode="after")
    def _has_what_its_space_asks_for(self) -> Self:
        if (self.head is None, self.move is None) != (self.space == "x", self.space == "h"):
            raise ValueError("a direction of space 'h' has a head and no move, one of space 'x' a move and no head")
        return self

    @property
    def timesteps(self) -> tuple[float, ...]:
        """The timesteps that a head has rows for, where its config names them."""
        rows = self.head.config.get("timesteps") if self.head else None
        named = isinstance(rows, list | tuple) and all(isinstance(t, int | float) for t in rows)
        return tuple(rows) if rows and named else ()


def read_meta(folder: Path) -> Meta:
    """The description in a direction's folder, without its weights.

    Raises NotFoundError when there is none, RefusedError when it is damaged or of an unknown format or space.
    """
    path = folder / META_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key, known in (("format", (1,)), ("space", SPACES)):
            if not isinstance(content, dict) or content.get(key) not in known:
                found = content.get(key) if isinstance(content, dict) else content
                reads = " and ".join(map(repr, known))
                raise RefusedError(f"{path} has {key} {found!r}; this hspace reads {key} {reads}. Upgrade hspace.")
        return Meta.model_validate(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{folder} holds no direction: there is no {META_FILE}") from error
    except ValidationError as error:
        first = error.errors()[0]
        told = ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"]])
        raise RefusedError(f"{path} is not a sound direction: {told}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise RefusedError(f"{path} is not JSON: {error}") from error
