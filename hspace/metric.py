"""A metric: what is measured on pictures, their reconstructions and their edits, a batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

PAIRS = (("orig", "edit"), ("recon", "edit"), ("orig", "recon"))
"""Which pictures are compared. The last pair knows nothing of the edit, and shows a pipeline that is broken."""


@dataclass(frozen=True)
class Batch:
    """Pictures (B, 3, H, W), float32 in [-1, 1] and finite, and what goes with them; None where there is none.

    `index` (B,) int64 is the number of each picture, by which it is told from all others of an evaluation. `orig` are
    the pictures as they are, `recon` what the backbone gives back of them unedited, `edit` the same latents edited.
    `attributes` (name -> (B,)) is what is known of the originals.
    """

    index: Tensor
    orig: Tensor | None = None
    recon: Tensor | None = None
    edit: Tensor | None = None
    attributes: Mapping[str, Tensor] | None = None

    def pictures(self) -> dict[str, Tensor]:
        """The pictures by "orig", "recon" and "edit", where they are there."""
        sets = {"orig": self.orig, "recon": self.recon, "edit": self.edit}
        return {name: images for name, images in sets.items() if images is not None}


@dataclass(frozen=True)
class Result:
    """One measured number, and all that is needed to read it.

    `value` is None where it could not be measured, and `reason` then says why. `low` and `high` are the ends of its
    95 % interval, `spread` the standard deviation over pictures, `floor` the value that two halves of the originals
    have; each is None where there is none. `n` counts the pictures it is of, `protocol` says how it was measured,
    `pair` which pictures were compared. `values` is the number of each picture, by its `Batch.index`, where it has one.
    A `detail` is left out of tables.
    """

    name: str
    value: float | None
    n: int
    protocol: str
    pair: str = ""
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    floor: float | None = None
    reason: str = ""
    values: Mapping[int, float] = field(default_factory=dict)
    detail: bool = False


class Metric(ABC):
    """What is measured on one direction at one strength; built anew for each by a plugin's `build(**config)`.

    What it keeps must not hold pictures, so that memory does not grow with them.
    """

    @abstractmethod
    def update(self, batch: Batch) -> None:
        """Takes a batch in. Every picture comes once, in batches of any size."""

    @abstractmethod
    def compute(self) -> list[Result]:
        """What the batches so far say; asking changes nothing."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that it keeps, by name, finite or not."""

    @abstractmethod
    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Adds the state of another: as if this one had been given the other's batches too."""

    def across(self, results: Mapping[float, Sequence[Result]]) -> list[Result]:
        """What the results at several strengths of one direction say together; nothing by default."""
        return []
