"""direction.json: all that is known of a direction but its weights, readable without torch."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hspace.errors import NotFoundError, RefusedError

META_FILE = "direction.json"
WEIGHTS_FILE = "weights.safetensors"
ID = re.compile(r"(?P<backbone>[A-Za-z0-9][\w.-]*)/(?P<what>[a-z0-9][a-z0-9_-]*)\.(?P<how>[a-z0-9][a-z0-9_-]*)")
"""`<backbone>/<what>.<how>`: names that are also safe folders on every system."""


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

    Its window is t_edit <= t <= t_start; no t_start is from the first step of sampling on.
    """

    format: Literal[1] = 1
    id: str = Field(pattern=f"^{ID.pattern}$")
    backbone: BackboneRef
    head: HeadRef
    space: Literal["h"] = "h"
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
        return int(self.head.config.get("components", 1))


def read_meta(folder: Path) -> Meta:
    """The description in a direction's folder, without its weights.

    Raises NotFoundError when there is none, RefusedError when it is damaged or of an unknown format or space.
    """
    path = folder / META_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key, known in (("format", 1), ("space", "h")):
            if not isinstance(content, dict) or content.get(key) != known:
                found = content.get(key) if isinstance(content, dict) else content
                raise RefusedError(f"{path} has {key} {found!r}; this hspace reads {key} {known!r}. Upgrade hspace.")
        return Meta.model_validate(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{folder} holds no direction: there is no {META_FILE}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefusedError(f"{path} is not a sound direction: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise RefusedError(f"{path} is not JSON: {error}") from error
