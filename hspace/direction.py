"""A direction: what shifts h or moves x_t, tied to the backbone it was found on, as JSON beside safetensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hspace import storage
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.meta import META_FILE, WEIGHTS_FILE, BackboneRef, HeadRef, Meta, Move, Provenance, WeightsRef, read_meta

if TYPE_CHECKING:
    from torch import Tensor

    from hspace.backbone import Backbone
    from hspace.head import Head
    from hspace.sampling import Step

_PLAIN = (int, float, str, list)
"""What a condition that can be written down is made of; an embedding, for one, is not."""


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
        weights: Mapping[str, "Tensor"],
        head: str | None = None,
        config: Mapping[str, Any] | None = None,
        scale: float = 1.0,
        **meta: Any,
    ) -> "Direction":
        """A direction found on `backbone`, tied to it by the fingerprint of its h.

        `what` and `finder` name it; `head` and `config` rebuild what reads the weights, whose answer
        is multiplied by `scale`; the rest of `meta` is that of Meta: steps, t_edit, strength, scope, metrics, prompts,
        labels. One that moves x_t has `space="x"` and a `move` in place of a head.
        """
        home = _home(backbone)
        provenance = meta.pop("provenance", Provenance(finder=finder))
        described = Meta(
            id=f"{home.id}/{what}.{finder}",
            backbone=home,
            head=None if head is None else HeadRef(name=head, config=dict(config or {}), scale=scale),
            provenance=provenance,
            **meta,
        )
        return cls(described, dict(weights))

    def tie(self, backbone: "Backbone") -> "Direction":
        """The direction, tied to `backbone` by the fingerprint of its h and called by its name.

        For directions that come from elsewhere without a fingerprint; it is for the caller to know that the backbone
        is theirs. Raises RefusedError when its weights do not fit this backbone.
        """
        home = _home(backbone)
        id = f"{home.id}/{self.meta.id.partition('/')[2]}"
        tied = replace(self, meta=self.meta.model_copy(update={"backbone": home, "id": id}))
        one = tied if tied.meta.components == 1 else tied.pick(0)
        (one.head if one.meta.move is None else one.move)(backbone)
        return tied

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
        not fit the head; UsageError when the direction is a basis and no component was picked, or is of space "x".
        """
        from hspace.building import build_head
        from hspace.head import Scaled

        ref = self.meta.require_head()
        self.check(backbone)
        config = dict(ref.config)
        if self.meta.components > 1:
            config["component"] = self._picked()
        head = build_head(backbone, ref.name, config, self.weights)
        return head if ref.scale == 1 else Scaled(head, ref.scale).eval()

    def move(self, backbone: "Backbone") -> "Step":
        """How this direction of space "x" moves x_t.

        Raises as `head` does, and UsageError when the direction is of space "h".
        """
        from hspace.fingerprint import x_shape
        from hspace.moving import step_of

        if self.meta.move is None:
            raise UsageError(f"direction {self.meta.id!r} is of space 'h': it shifts h and moves no x_t")
        self.check(backbone)
        vectors = self.weights.get("vectors")
        shape = (self.meta.components, *_points(self.meta.move), *x_shape(backbone))
        if vectors is None or vectors.shape != shape:
            found = "missing" if vectors is None else tuple(vectors.shape)
            raise RefusedError(f"the vectors of {self.meta.id!r} are {found}; x_t of this backbone needs {shape}")
        return step_of(self.meta.move, vectors[self._picked() or 0])

    def _picked(self) -> int | None:
        if self.meta.components > 1 and self.component is None:
            raise UsageError(
                f"{self.meta.id!r} is a basis of {self.meta.components} directions; "
                f"pick one: {self.meta.id}#0 to {self.meta.id}#{self.meta.components - 1}"
            )
        return self.component

    def check(self, backbone: "Backbone") -> None:
        """Raises RefusedError when the backbone's h is not the one the direction was found on.

        Raises UsageError when the direction was found under a condition, and the backbone is under none.
        """
        from hspace.binding import describe
        from hspace.fingerprint import TOLERANCE, distance, probe

        home = self.meta.backbone
        rebind = f"It was found under a condition: {describe(home.condition)}. "
        if home.condition and not backbone.condition:
            raise UsageError(f"direction {self.meta.id!r} needs a condition. {rebind}".rstrip())
        seen = probe(backbone)
        if home.h_shape != seen.h_shape:
            difference = f"is {seen.h_shape}, not {home.h_shape}"
        elif home.fingerprint is None:
            raise RefusedError(
                f"direction {self.meta.id!r} was imported without its backbone, so nothing tells whether this one is "
                f"{home.id!r}. Import it again with --backbone, once its weights are here, to tie it to them."
            )
        elif (apart := distance(home.fingerprint, seen.fingerprint)) > TOLERANCE:
            difference = f"differs ({apart:.2g} > {TOLERANCE})"
        else:
            return
        raise RefusedError(
            f"direction {self.meta.id!r} was found on h of {home.id!r}; this backbone's h {difference}. "
            f"{rebind if home.condition != backbone.condition and home.condition else ''}"
            f"Load that backbone, or find the direction again with 'hspace discover'."
        )

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
        storage.write_bytes(folder / META_FILE, (meta.model_dump_json(indent=2, exclude_none=True) + "\n").encode())
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


def _points(move: Move) -> tuple[int, ...]:
    return (len(move.strengths),) if move.kind == "path" else ()


def _home(backbone: "Backbone") -> BackboneRef:
    from hspace.fingerprint import probe

    if backbone.card is None:
        raise UsageError("this backbone has no card, so a direction cannot say where it belongs; set backbone.card")
    seen = probe(backbone)
    site = backbone.card.facts.get("h_site", "mid.out")
    return BackboneRef(
        id=backbone.card.name,
        h_shape=seen.h_shape,
        h_site=site,
        fingerprint=seen.fingerprint,
        condition={key: one for key, one in backbone.condition.items() if isinstance(one, _PLAIN)},
    )


def _weights(folder: Path) -> WeightsRef | None:
    try:
        return read_meta(folder).weights
    except (NotFoundError, RefusedError):
        return None
