"""What an edit does to the attributes of each face that it was not meant to change."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hspace.bootstrap import summarise
from hspace.metric import PAIRS, Batch, Result
from hspace.per_picture import PerPicture

from .attributes import NAMES
from .measuring import population_sd
from .regressor import load_regressor
from .target import parse_target, target_of

MARGIN = 0.2
"""How far beyond its threshold, 0, an attribute has to be read, so that one that lies on it does not flip by a hair."""


class Flips(PerPicture):
    """Of each face, how many attributes other than the target flip, and how far they move in the mean.

    An attribute flips where the regressor reads it on the other side of 0 in the second picture, by MARGIN or more.
    `spill` is the mean |D| of the others. Each attribute's share of flipped faces is a detail.
    """

    def __init__(self, target: str, seed: int = 0) -> None:
        super().__init__(seed)
        self.regressor = load_regressor()
        self.others = [name for name in NAMES if name != target]
        self.told = f"attributes other than {target}, by the regressor"
        self._sd = torch.tensor([population_sd()[name] for name in self.others])

    @torch.no_grad()
    def measure(self, batch: Batch) -> dict[str, Tensor]:
        places = [NAMES.index(name) for name in self.others]
        read = {what: self.regressor.predict(some.cpu())[:, places] for what, some in batch.pictures().items()}
        pairs = [(one, other) for one, other in PAIRS if one in read and other in read]
        flipped = {f"flips {one}-{other}": flips(read[one], read[other]) for one, other in pairs}
        return flipped | {
            f"spill {one}-{other}": ((read[other] - read[one]) / self._sd).abs().mean(dim=1) for one, other in pairs
        }

    def compute(self) -> list[Result]:
        columns = self.columns()
        index = columns.pop("index", torch.empty(0))
        pairs = [pair for one, other in PAIRS if f"flips {(pair := f'{one}-{other}')}" in columns]
        return [result for pair in pairs for result in self._of(pair, columns, index)]

    def _of(self, pair: str, columns: dict[str, Tensor], index: Tensor) -> Iterator[Result]:
        flipped, how = columns[f"flips {pair}"], f"read beyond 0 on the other side by {MARGIN:g} or more"
        told, spill = f"{self.told}, {how}", f"mean |D| of the {self.told}, in SD"
        yield summarise("flips", flipped.sum(dim=1), index, told, pair=pair, seed=self.seed)
        yield summarise("spill", columns[f"spill {pair}"], index, spill, pair=pair, seed=self.seed)
        for name, column in zip(self.others, flipped.unbind(1), strict=True):
            yield summarise(f"flips.{name}", column, index, f"share, {how}", pair=pair, seed=self.seed, detail=True)


def flips(before: Tensor, after: Tensor) -> Tensor:
    """Which attributes (n, A) flip from one reading to another, as 0 or 1."""
    return (((before > 0) != (after > 0)) & (after.abs() >= MARGIN)).double()


def build(target: str = "", prompts: tuple[str, str] | None = None, seed: int = 0) -> Flips:
    """The flips of all attributes but the target, by default the one that the prompts name.

    Raises as `parse_target`, `target_of` and `load_regressor` do.
    """
    return Flips((parse_target(target) if target else target_of(prompts))[0], seed)
