"""Attribute flips: which attributes of a face are read otherwise after an edit that was not meant to change them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor

from hspace.bootstrap import summarise
from hspace.metric import PAIRS, Batch, Result
from hspace.per_picture import PerPicture
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.regressor import Regressor, load_regressor

MARGIN = 0.2
"""How far beyond the threshold a reading has to come, so that one that lies on it does not flip by a hair."""


class Flips(PerPicture):
    """How many attributes, but the target, a regressor reads on the other side of 0 in one picture than in the other.

    A reading has flipped where it changes its sign and lies MARGIN beyond 0 afterwards. Each attribute's share of
    flipped pictures is a detail.
    """

    def __init__(self, target: str | None = None, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(seed)
        if target is not None and target not in NAMES:
            raise ValueError(f"attribute {target!r} is not one of {', '.join(NAMES)}")
        self.target, self.device = target, device
        self.others = [name for name in NAMES if name != target]

    @cached_property
    def regressor(self) -> Regressor:
        """What reads the attributes: the zoo's regressor."""
        return load_regressor(device=self.device)

    def measure(self, batch: Batch) -> Mapping[str, Tensor]:
        return {pair: self.flipped(one, other) for pair, one, other in batch.pairs()}

    @torch.no_grad()
    def flipped(self, one: Tensor, other: Tensor) -> Tensor:
        """Which attributes but the target (B, A) are flipped from pictures `one` to `other` (B, 3, H, W), as 0 or 1."""
        before, after = (self.regressor.predict(some.to(self.device)) for some in (one, other))
        flipped = (before > 0) != (after > 0)
        kept = torch.tensor([name in self.others for name in NAMES])
        return (flipped & (after.abs() > MARGIN)).cpu()[:, kept].double()

    def compute(self) -> list[Result]:
        columns = self.columns()
        index = columns.pop("index", torch.empty(0))
        order = [f"{first}-{second}" for first, second in PAIRS]
        return [result for pair in order if pair in columns for result in self._of(pair, columns[pair], index)]

    def _of(self, pair: str, flipped: Tensor, index: Tensor) -> Iterator[Result]:
        but = f" but {self.target}" if self.target else ""
        told = f"attributes{but} that the toyfaces regressor reads on the other side of 0, by {MARGIN:g} or more"
        yield summarise("flips", flipped.sum(dim=1), index, told, pair=pair, seed=self.seed)
        for name, column in zip(self.others, flipped.unbind(1), strict=True):
            share = "share of pictures whose attribute is flipped, as for flips"
            yield summarise(f"flips.{name}", column, index, share, pair=pair, seed=self.seed, detail=True)


def build(target: str | None = None, seed: int = 0, device: str = "cpu") -> Flips:
    """The flips of all attributes but the target. Raises ValueError for an unknown one."""
    return Flips(target, seed, device)
