"""The pictures that directions are measured on, a few at a time: files, a source of a plugin, or drawn latents."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.errors import RefusedError, UsageError
from hspace.images import load_image
from hspace.inverting import invert_once
from hspace.pictures import HELD_OUT, fitted, images_of, source_of
from hspace.sampling import latents
from hspace.storage import sha256

SEEDS = 1 << 20
"""How far apart the seeds of drawn latents are, one for each picture."""


@dataclass(frozen=True)
class Some:
    """Some originals: x_T (B, C, H, W), the pictures (B, 3, S, S) where there are any, and their known attributes."""

    x_T: Tensor
    orig: Tensor | None = None
    attributes: Mapping[str, Tensor] | None = None


class Originals(ABC):
    """Pictures by number, in a backbone: `names` has one for each, and `told` says in words where they are from.

    `facts` are all that they depend on. `has` is what `at` gives beside x_T: "orig", "attributes".
    """

    names: tuple[str, ...]
    told: str
    facts: Mapping[str, Any]
    has: frozenset[str]

    @abstractmethod
    def at(self, start: int, stop: int) -> Some:
        """Those from number start to stop."""


class Files(Originals):
    """Picture files, cut and resized to what the backbone paints, and inverted once."""

    has = frozenset({"orig"})

    def __init__(self, backbone: Backbone, paths: Sequence[Path], size: int, steps: int) -> None:
        self.backbone, self.paths, self.size, self.steps = backbone, paths, size, steps
        self.names = names_of(paths)
        self.told = f"{len(paths)} pictures, resized to {size} px"
        self.facts = {"files": [sha256(path) for path in paths], "size": size}

    def at(self, start: int, stop: int) -> Some:
        return inverted(self.backbone, torch.cat([load_image(path, self.size) for path in self.paths[start:stop]]),
                        self.steps)  # fmt: skip


class OfSource(Originals):
    """The first n pictures of a source, inverted once, with their attributes where it knows them.

    They are of a seed that nothing was trained on: `seed` counts from HELD_OUT, unless the settings say another.
    """

    def __init__(
        self, backbone: Backbone, name: str, n: int, size: int, seed: int, config: Mapping[str, Any] | None, steps: int
    ) -> None:
        if n < 1:
            raise UsageError(f"{n} pictures of {name!r} were asked for; ask for at least 1 with samples")
        self.backbone, self.size, self.steps, self.n = backbone, size, steps, n
        self.source, settings = source_of(name, size, HELD_OUT + seed, config)
        self.has = frozenset({"orig", "attributes"} if hasattr(self.source, "attributes") else {"orig"})
        self.names = tuple(f"{name}-{number:05d}" for number in range(n))
        seeded = f" of seed {seed}" if settings.get("seed") == HELD_OUT + seed else ""
        self.told = f"{n} {size} px pictures of {name}{seeded}"
        self.facts = {"source": name, "n": n, "size": size, "settings": settings}
        self._whole: Tensor | None = None
        if "start" not in inspect.signature(self.source.images).parameters:
            self._whole = images_of(self.source, name, n)

    def at(self, start: int, stop: int) -> Some:
        whole = self._whole
        images = self.source.images(stop - start, start) if whole is None else whole[start:stop]
        some = inverted(self.backbone, fitted(images, self.size), self.steps)
        if "attributes" not in self.has:
            return some
        return Some(some.x_T, some.orig, self.source.attributes(stop - start, start))


class Drawn(Originals):
    """n latents, each of a seed of its own, that nothing was trained on; there are no pictures before them."""

    has = frozenset()

    def __init__(self, backbone: Backbone, n: int, seed: int) -> None:
        if n < 1:
            raise UsageError(f"samples must be at least 1; {n} was given")
        self.backbone, self.first = backbone, HELD_OUT + seed * SEEDS
        self.names = tuple(f"x_T-{seed}-{number:05d}" for number in range(n))
        self.told = f"{n} drawn latents of seed {seed}"
        self.facts = {"drawn": n, "seed": seed}

    def at(self, start: int, stop: int) -> Some:
        return Some(torch.cat([latents(self.backbone, 1, self.first + number) for number in range(start, stop)]))


def inverted(backbone: Backbone, images: Tensor, steps: int) -> Some:
    """Images (B, 3, S, S) in [-1, 1] and their latents. Raises RefusedError for pixels that are not finite."""
    if not bool(images.isfinite().all()):
        raise RefusedError(
            "a picture has pixels that are not finite (NaN or infinity), so nothing can be measured on it"
        )
    images = images.to(next(backbone.parameters(), images)).clamp(-1, 1)
    with torch.no_grad():
        x_0 = torch.cat([backbone.image_to_x0(image) for image in torch.split(images, 1)])
    return Some(invert_once(backbone, x_0, steps=steps, batch=len(images)).x_T, images)


def names_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of files without their suffix. Raises UsageError where two have the same."""
    names = tuple(path.stem for path in paths)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{len(twice)} names are of more than one picture, such as {twice[0]!r}; rename one of them")
    return names
