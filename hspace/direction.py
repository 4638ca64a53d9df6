"""A direction: what shifts h, tied to the backbone it was found on, as JSON beside safetensors."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hspace import storage
from hspace.errors import NotFoundError, RefusedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from hspace.backbone import Backbone
    from hspace.head import Head
    from hspace.sampling import Edit

META_FILE = "direction.json"
WEIGHTS_FILE = "weights.safetensors"
ID = re.compile(r"(?P<backbone>[A-Za-z0-9][\w.-]*)/(?P<what>[a-z0-9][a-z0-9_-]*)\.(?P<how>[a-z0-9][a-z0-9_-]*)")
"""`<backbone>/<what>.<how>`: names that are also safe folders on every system."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneRef(_Part):
    """The backbone a direction belongs to, recognised by the fingerprint of its h."""

    id: str
    h_shape: tuple[int, int, int]
    h_site: str = "mid.out"
    fingerprint: tuple[float, ...] = Field(min_length=8, max_length=8)


class HeadRef(_Part):
    """The head that reads the weights: a card's name and what its `build` is called with."""

    name: str
    config: dict[str, Any] = {}

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
    """All of a direction but its weights: the content of direction.json, readable without torch."""

    format: Literal[1] = 1
    id: str = Field(pattern=f"^{ID.pattern}$")
    backbone: BackboneRef
    head: HeadRef
    space: Literal["h"] = "h"
    mode: Literal["asymmetric", "symmetric"] = "asymmetric"
    steps: int = Field(ge=1)
    t_edit: int = Field(ge=0)
    t_boost: int | None = None
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


@dataclass(frozen=True)
class Direction:
    """A direction: its description, its weights by name, and which component of a basis is meant."""

    meta: Meta
    weights: Mapping[str, "Tensor"]
    component: int | None = None

    @property
    def id(self) -> str:
        """`<backbone>/<what>.<how>`, with `#k` where a component was picked."""
        return self.meta.id if self.component is None else f"{self.meta.id}#{self.component}"

    @classmethod
    def bind(
        cls,
        backbone: "Backbone",
        *,
        what: str,
        finder: str,
        head: str,
        config: Mapping[str, Any],
        weights: Mapping[str, "Tensor"],
        **meta: Any,
    ) -> "Direction":
        """A direction found on `backbone`, tied to it by the fingerprint of its h.

        `what` and `finder` name it; `head` and `config` rebuild what reads the weights; the rest of `meta` is
        that of Meta: steps, t_edit, strength, scope, metrics, prompts, labels.
        """
        from hspace.fingerprint import probe

        if backbone.card is None:
            raise UsageError("this backbone has no card, so a direction cannot say where it belongs; set backbone.card")
        seen = probe(backbone)
        site = backbone.card.facts.get("h_site", "mid.out")
        provenance = meta.pop("provenance", Provenance(finder=finder))
        described = Meta(
            id=f"{backbone.card.name}/{what}.{finder}",
            backbone=BackboneRef(
                id=backbone.card.name, h_shape=seen.h_shape, h_site=site, fingerprint=seen.fingerprint
            ),
            head=HeadRef(name=head, config=dict(config)),
            provenance=provenance,
            **meta,
        )
        return cls(described, dict(weights))

    def pick(self, component: int) -> "Direction":
        """One component of a basis. Raises NotFoundError when the basis is smaller."""
        if not 0 <= component < self.meta.components:
            raise NotFoundError(
                f"{self.meta.id!r} has {self.meta.components} components, #0 to #{self.meta.components - 1}; "
                f"#{component} was asked for"
            )
        return replace(self, component=component)

    def head(self, backbone: "Backbone") -> "Head":
        """The head of this direction, with its weights, on the backbone's device.

        Raises RefusedError when the backbone's h is not the one the direction was found on, or the weights do
        not fit the head; UsageError when the direction is a basis and no component was picked.
        """
        from hspace.loading import build_head

        self._check(backbone)
        config = dict(self.meta.head.config)
        if self.meta.components > 1:
            if self.component is None:
                raise UsageError(
                    f"{self.meta.id!r} is a basis of {self.meta.components} directions; "
                    f"pick one: {self.meta.id}#0 to {self.meta.id}#{self.meta.components - 1}"
                )
            config["component"] = self.component
        return build_head(backbone, self.meta.head.name, config, self.weights)

    def _check(self, backbone: "Backbone") -> None:
        from hspace.fingerprint import TOLERANCE, distance, probe

        home, seen = self.meta.backbone, probe(backbone)
        if home.h_shape != seen.h_shape:
            difference = f"is {seen.h_shape}, not {home.h_shape}"
        elif (apart := distance(home.fingerprint, seen.fingerprint)) > TOLERANCE:
            difference = f"differs ({apart:.2g} > {TOLERANCE})"
        else:
            return
        raise RefusedError(
            f"direction {self.meta.id!r} was found on h of {home.id!r}; this backbone's h {difference}. "
            f"Load that backbone, or find the direction again with 'hspace discover'."
        )

    def edit(self, backbone: "Backbone", strength: "float | Tensor") -> "Edit":
        """This direction at a strength, in its own window, ready for `hspace.sampling.edit`."""
        from hspace.sampling import Edit

        return Edit(self.head(backbone), strength, self.meta.t_edit, self.meta.steps)

    def save(self, folder: Path) -> "Direction":
        """Writes the direction to a folder: weights first, then the description that names them; returns it as saved.

        A kill leaves the old direction or the new one, never a mixture. Raises HspaceError when it cannot be written,
        RefusedError when a weight is not finite.
        """
        storage.check_finite(folder / WEIGHTS_FILE, self.weights)
        data = storage.tensor_bytes(self.weights)
        new = WeightsRef(file=WEIGHTS_FILE, sha256=sha256(data).hexdigest())
        old = _weights(folder)
        if old is not None and old.file is not None and old.sha256 == new.sha256:
            new = old
        elif old is not None and old.file == WEIGHTS_FILE:  # the old description keeps its weights until it is replaced
            new = WeightsRef(file=f"weights-{new.sha256[:12]}.safetensors", sha256=new.sha256)
        assert new.file is not None
        meta = self.meta.model_copy(update={"weights": new})
        storage.write_bytes(folder / new.file, data)
        storage.write_bytes(folder / META_FILE, (meta.model_dump_json(indent=2) + "\n").encode())
        if old is not None and old.file not in (None, new.file):
            (folder / str(old.file)).unlink(missing_ok=True)
        return replace(self, meta=meta)

    @classmethod
    def load(cls, folder: Path) -> "Direction":
        """The direction in a folder, its weights checked against their sha256.

        Raises NotFoundError when there is none, RefusedError when it is damaged or its weights were changed.
        """
        meta = read_meta(folder)
        if meta.weights is None or meta.weights.file is None:
            raise RefusedError(f"{folder / META_FILE} names no weights file")
        try:
            return cls(meta, storage.read_tensors(folder / meta.weights.file, meta.weights.sha256))
        except (NotFoundError, RefusedError):
            if read_meta(folder) == meta:
                raise
            return cls.load(folder)  # a writer replaced it in between


def _weights(folder: Path) -> WeightsRef | None:
    try:
        return read_meta(folder).weights
    except (NotFoundError, RefusedError):
        return None
