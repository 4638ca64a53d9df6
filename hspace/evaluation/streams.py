"""What is measured, as batches: originals edited as they are asked for, or folders of pictures that are there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.errors import HspaceError
from hspace.evaluation.originals import SEEDS, Originals
from hspace.fingerprint import identity
from hspace.metric import Batch
from hspace.sampling import Edit, edit, gaussian, sample


@dataclass(frozen=True)
class Subject:
    """What is measured: a direction at a strength, and the prompts that it is meant for; "" and None for a folder."""

    direction: str
    strength: float | None = None
    prompts: tuple[str, str] | None = None


class Stream(ABC):
    """Batches by the numbers of their pictures, one for each subject; `names` has the pictures' names.

    `has` is what the batches hold: "orig", "recon", "edit", "attributes". `told` says where the pictures are from, and
    `facts` are all that they depend on.
    """

    subjects: tuple[Subject, ...]
    names: tuple[str, ...]
    has: frozenset[str]
    told: str
    facts: Mapping[str, Any]

    @abstractmethod
    def at(self, start: int, stop: int) -> Iterator[Batch]:
        """The batch of the pictures from number start to stop, for each subject in order."""

    def noticed(self) -> str:
        """What is to be said of the pictures, as a warning, after the last batch; nothing by default."""
        return ""


class Edits(Stream):
    """Originals, their reconstructions, and their edits along directions at strengths, made batch by batch.

    A picture depends on its number alone, not on the batch: the noise of boosting is drawn from a seed of its own.
    """

    def __init__(
        self, backbone: Backbone, originals: Originals, directions: Sequence[tuple[Direction, float]],
        prompts: tuple[str, str] | None, *, steps: int, seed: int,
    ) -> None:  # fmt: skip
        self.backbone, self.originals, self.steps, self.seed = backbone, originals, steps, seed
        self.edits = [
            (Edit.along(one, strength, backbone), one.meta.mode == "symmetric") for one, strength in directions
        ]
        self.subjects = tuple(Subject(one.id, strength, prompts or one.meta.prompts) for one, strength in directions)
        self.names, self.has = originals.names, originals.has | {"recon", "edit"}
        self.told = f"{originals.told}, {steps} DDIM steps"
        weights = [one.meta.weights.sha256 if one.meta.weights else None for one, _ in directions]
        self.facts = {
            **originals.facts, "backbone": identity(backbone), "weights": weights, "steps": steps, "noise": seed,
            "window": [(one.meta.t_edit, one.meta.t_start, one.meta.t_boost) for one, _ in directions],
        }  # fmt: skip

    @torch.no_grad()
    def at(self, start: int, stop: int) -> Iterator[Batch]:
        some = self.originals.at(start, stop)
        index = torch.arange(start, stop)
        noise = gaussian(*(self.seed * SEEDS + number for number in range(start, stop)))
        recon = self._images(sample(self.backbone, some.x_T, steps=self.steps), "of the reconstruction", index)
        for subject, (one, symmetric) in zip(self.subjects, self.edits, strict=True):
            x_0 = edit(self.backbone, some.x_T, [one], steps=self.steps, symmetric=symmetric, noise=noise)
            what = f"of {subject.direction} at strength {subject.strength:g}"
            yield Batch(index, some.orig, recon, self._images(x_0, what, index), some.attributes)

    def _images(self, x_0: Tensor, what: str, index: Tensor) -> Tensor:
        images = self.backbone.x0_to_image(x_0).float()
        broken = ~images.isfinite().flatten(1).all(dim=1).cpu()
        if bool(broken.any()):
            name = self.names[int(index[broken][0])]
            raise HspaceError(
                f"the picture {what} from {name!r} has pixels that are not finite (NaN or infinity), so nothing can be "
                f"measured on it; take a smaller strength, or other pictures"
            )
        return images.clamp(-1, 1)


@dataclass(frozen=True)
class Folders:
    """Where the pictures to compare are: folders, or files, of which each picture of one has its like in the others."""

    orig: Path | None = None
    recon: Path | None = None
    edit: Path | None = None

    def given(self) -> dict[str, Path]:
        """The places by "orig", "recon" and "edit", where they were given."""
        return {name: place for name, place in vars(self).items() if place is not None}
