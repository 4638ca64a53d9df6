"""FID: the Frechet distance of two sets of pictures, by their features."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hspace.errors import HspaceWarning
from hspace.metric import PAIRS, Batch, Metric, Result
from hspace_metrics.encoders import Named
from hspace_metrics.features import Features, features_of

HALVES = ("orig/0", "orig/1")
"""The originals, one by one in turn: two halves, whose distance is the floor."""
Moments = dict[str, Tensor]
"""`sum` (D,), `cov_sum` (D, D) and `num_samples` of rows in float64, as torchmetrics calls them."""


class Frechet(Metric):
    """|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) of the features of two sets, by torchmetrics, in float64.

    It keeps sums alone. The distance depends on n, and below D pictures it is mostly that: the floor, the distance of
    two halves of the originals, says how much.
    """

    def __init__(self, features: Features) -> None:
        self.features = features
        self.moments: dict[str, Moments] = {}

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        for name, images in batch.pictures().items():
            rows = self.features(images).double().cpu()
            if name == "orig":
                for half, part in enumerate(HALVES):
                    self._add(part, rows[batch.index.cpu() % 2 == half])
            else:
                self._add(name, rows)

    def _add(self, name: str, rows: Tensor) -> None:
        more = {"sum": rows.sum(dim=0), "cov_sum": rows.T @ rows, "num_samples": torch.tensor(len(rows))}
        known = self.moments.get(name)
        self.moments[name] = more if known is None else added(known, more)

    def compute(self) -> list[Result]:
        sets = {name: one for name, one in self.moments.items() if name not in HALVES}
        floor = None
        if set(HALVES) <= set(self.moments):
            halves = [self.moments[half] for half in HALVES]
            sets["orig"] = added(*halves)
            floor = distance(*halves) if min(int(half["num_samples"]) for half in halves) > 1 else None
        few = told_if_few("fid", *next(((int(one["num_samples"]), len(one["sum"])) for one in sets.values()), (2, 1)))
        return [
            self._result(f"{first}-{second}", sets[first], sets[second], floor, few)
            for first, second in PAIRS
            if first in sets and second in sets
        ]

    def _result(self, pair: str, one: Moments, other: Moments, floor: float | None, few: str) -> Result:
        n = int(one["num_samples"])
        if n < 2:
            return Result("fid", None, n, self.features.name, pair, reason="a covariance needs at least 2 pictures")
        return Result("fid", distance(one, other), n, self.features.name + few, pair, floor=floor)

    def state(self) -> dict[str, Tensor]:
        return {f"{name}:{part}": one for name, some in self.moments.items() for part, one in some.items()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        for name in {key.partition(":")[0] for key in state}:
            more = {part: state[f"{name}:{part}"] for part in ("sum", "cov_sum", "num_samples")}
            self.moments[name] = added(self.moments[name], more) if name in self.moments else more


class _Given(nn.Module):
    """Features that were computed already."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension


def added(one: Moments, other: Moments) -> Moments:
    """The moments of both sets of rows together."""
    return {name: one[name] + other[name] for name in one}


def distance(one: Moments, other: Moments) -> float:
    """The Frechet distance of the Gaussians with those moments."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    fid = FrechetInceptionDistance(_Given(len(one["sum"])), sync_on_compute=False)
    fid.orig_dtype = torch.float64
    both = {"real": one, "fake": other}
    fid.merge_state({f"{who}_features_{part}": some for who, all in both.items() for part, some in all.items()})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``compute`` method")  # it was given sums, not pictures
        return float(fid.compute())


def told_if_few(name: str, n: int, dimension: int) -> str:
    """What is added to the protocol where there are no more pictures than features; it is said as a warning too."""
    if n > dimension:
        return ""
    told = f"{n} pictures are too few for {dimension} features: compare it with its floor, and at equal n alone"
    warnings.warn(f"{name}: {told}", HspaceWarning, stacklevel=3)
    return f"; {told}"


def build(features: str = "", encoder: Named | None = None, antialias: bool = True, device: str = "cpu") -> Frechet:
    """FID by the features of that name, an encoder's by default; raises as `features_of` does."""
    return Frechet(features_of(features, encoder, antialias, device))
