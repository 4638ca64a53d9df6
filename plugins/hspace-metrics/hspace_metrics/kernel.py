"""KID: the squared maximum mean discrepancy of two sets of pictures, by their features."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import torch
from torch import Tensor

from hspace.bootstrap import percentiles
from hspace.metric import PAIRS, Batch, Metric, Result
from hspace_metrics.encoders import Named
from hspace_metrics.features import Features, features_of
from hspace_metrics.frechet import told_if_few

MOST = 2000
"""How many pictures are kept, as features; of more, these are a sample that the seed draws."""
ROUNDS = 200


class Kernel(Metric):
    """KID with k(x, y) = (x . y / D + 1)^3, unbiased: a picture is never compared with itself, nor with its own edit.

    For n pairs (x_i, y_i) it is the mean over i != j of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), a
    U-statistic; the usual formula takes the sets for independent, and is below 0 for an edit that does little. Its
    interval is that of 200 halves of the pictures, drawn without replacement, which spread as n others would. The floor
    compares two halves of the originals, half as many each. Source: Binkowski et al., 2018 (arXiv:1801.01401);
    Gretton et al., A Kernel Two-Sample Test (JMLR 13, 2012), lemma 6.
    """

    def __init__(self, features: Features, seed: int = 0, most: int = MOST) -> None:
        self.features, self.seed, self.most = features, seed, most
        self.kept: dict[str, Tensor] = {}
        self.n = 0

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        rows = {name: self.features(images).double().cpu() for name, images in batch.pictures().items()}
        self.n += len(batch.index)
        self._keep({"index": batch.index.cpu(), **rows})

    def _keep(self, more: Mapping[str, Tensor]) -> None:
        whole = {name: torch.cat([self.kept[name], more[name]]) if self.kept else more[name] for name in more}
        ranks = torch.tensor([_rank(self.seed, index) for index in whole["index"].tolist()], dtype=torch.int64)
        first = ranks.argsort()[: self.most]
        self.kept = {name: column[first] for name, column in whole.items()}

    def compute(self) -> list[Result]:
        if not self.kept:
            return []
        order = self.kept["index"].argsort()
        rows = {name: column[order] for name, column in self.kept.items() if name != "index"}
        floor = self._floor(rows["orig"]) if "orig" in rows and len(order) >= 4 else None
        few = told_if_few("kid", *next(iter(rows.values())).shape)
        return [
            self._result(f"{first}-{second}", rows[first], rows[second], floor, few)
            for first, second in PAIRS
            if first in rows and second in rows
        ]

    def _result(self, pair: str, one: Tensor, other: Tensor, floor: float | None, few: str) -> Result:
        n = len(one)
        if n < 2:
            return Result("kid", None, n, self.features.name, pair, reason="it compares pictures: it needs at least 2")
        some = "" if n == self.n else f"; {n} of {self.n} pictures"
        protocol = f"cubic kernel, {self.features.name}{some}{few}"
        terms = differences(one, other)
        low, high = self._interval(terms) or (None, None)
        return Result("kid", discrepancy(terms), n, protocol, pair, low, high, floor=floor)

    def _interval(self, terms: Tensor) -> tuple[float, float] | None:
        generator = torch.Generator().manual_seed(self.seed)
        half = len(terms) // 2
        if half < 2:
            return None
        drawn = (torch.randperm(len(terms), generator=generator)[:half] for _ in range(ROUNDS))
        return percentiles(torch.tensor([discrepancy(terms[some][:, some]) for some in drawn], dtype=torch.float64))

    def _floor(self, orig: Tensor) -> float:
        from torchmetrics.image.kid import poly_mmd

        half = len(orig) // 2
        return float(poly_mmd(orig[0 : 2 * half : 2], orig[1 : 2 * half : 2]))

    def state(self) -> dict[str, Tensor]:
        return {**self.kept, "n": torch.tensor(self.n)} if self.kept else {}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self.n += int(state["n"])
            self._keep({name: column for name, column in state.items() if name != "n"})


def differences(one: Tensor, other: Tensor) -> Tensor:
    """k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), (n, n), of rows x and y (n, D)."""
    from torchmetrics.image.kid import poly_kernel

    across = poly_kernel(one, other)
    terms: Tensor = poly_kernel(one, one) + poly_kernel(other, other) - across - across.T
    return terms


def discrepancy(terms: Tensor) -> float:
    """The mean of (n, n) terms off the diagonal."""
    n = len(terms)
    return float((terms.sum() - terms.trace()) / (n * (n - 1)))


def _rank(seed: int, index: int) -> int:
    """A number that seed and index alone decide: the pictures with the lowest ones are a sample, in whatever order."""
    return int.from_bytes(sha256(f"{seed}/{index}".encode()).digest()[:7], "little")


def build(
    features: str = "", encoder: Named | None = None, antialias: bool = True, device: str = "cpu", seed: int = 0
) -> Kernel:
    """KID by the features of that name, an encoder's by default; raises as `features_of` does."""
    return Kernel(features_of(features, encoder, antialias, device), seed)
