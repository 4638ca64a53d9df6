"""Metrics that are made of a few numbers per picture: what they keep, and what they say of a pair of pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hspace.bootstrap import summarise
from hspace.metric import PAIRS, Batch, Metric, Result


class PerPicture(Metric):
    """A metric that keeps columns of numbers, one row per picture: a few bytes, whatever the size of the pictures."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._parts: list[dict[str, Tensor]] = []

    @abstractmethod
    def measure(self, batch: Batch) -> Mapping[str, Tensor]:
        """Columns (B, ...) by name, the same names for every batch; nan where a picture could not be measured."""

    def update(self, batch: Batch) -> None:
        columns = {name: column.detach().double().cpu() for name, column in self.measure(batch).items()}
        self._parts.append({"index": batch.index.cpu(), **columns})

    def state(self) -> dict[str, Tensor]:
        if not self._parts:
            return {}
        whole = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
        self._parts = [whole]
        return dict(whole)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self._parts.append(dict(state))

    def columns(self) -> dict[str, Tensor]:
        """All columns (n, ...), `index` (n,) among them, in order of the index; empty before the first batch."""
        whole = self.state()
        if not whole:
            return {}
        order = whole["index"].argsort()
        return {name: column[order] for name, column in whole.items()}


class PairMetric(PerPicture):
    """A metric that compares two pictures at a time; its result is the mean over pictures, for each pair there is.

    `protocol` says how it measures, and `missing` why a picture may have no number.
    """

    protocol: str
    missing: str = ""

    @abstractmethod
    def look(self, images: Tensor) -> Any:
        """What is to be compared of images (B, 3, H, W) in [-1, 1]; asked once for each picture, whatever the pairs."""

    @abstractmethod
    def compare(self, one: Any, other: Any) -> Mapping[str, Tensor]:
        """The numbers (B,), by name, of what was seen of one picture and of the other."""

    @torch.no_grad()
    def measure(self, batch: Batch) -> dict[str, Tensor]:
        seen = {name: self.look(images) for name, images in batch.pictures().items()}
        return {
            f"{name} {first}-{second}": column
            for first, second in PAIRS
            if first in seen and second in seen
            for name, column in self.compare(seen[first], seen[second]).items()
        }

    def compute(self) -> list[Result]:
        columns = self.columns()
        index = columns.pop("index", torch.empty(0))
        order = [f"{first}-{second}" for first, second in PAIRS]
        told = sorted((name.rpartition(" ") for name in columns), key=lambda one: (one[0], order.index(one[2])))
        return [
            summarise(
                name, columns[f"{name} {pair}"], index, self.protocol,
                pair=pair, seed=self.seed, missing=self.missing,
            )
            for name, _, pair in told
        ]  # fmt: skip
