"""Differences between groups of pictures: their means, bootstrap intervals, and a test that chance rarely passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from hspace.bootstrap import LEVEL, ROUNDS, percentiles

RESOLUTION = 1e-6
"""The share of the largest number below which a difference is one of rounding."""


@dataclass(frozen=True)
class Mean:
    """The mean of a group's numbers, the ends of its 95 % bootstrap interval, and of how many pictures it is."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Gap:
    """How much larger the mean is in `one` group than in the `other`, with its 95 % bootstrap interval.

    `p` is the chance of a difference as clear as this one, in any of the metrics that were tested together, if the
    groups were the same.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p: float

    @property
    def found(self) -> bool:
        """Whether it is a difference at 95 %."""
        return self.p < 1 - LEVEL


@dataclass(frozen=True)
class Compared:
    """A metric by group: the means, and the gaps between each two groups. Groups without a number are not there."""

    metric: str
    means: Mapping[str, Mean]
    gaps: tuple[Gap, ...]


def compare(columns: Mapping[str, Tensor], groups: Sequence[str], seed: int = 0) -> list[Compared]:
    """Each metric's numbers (n,), nan where a picture has none, compared between the groups that the n pictures are in.

    The intervals are percentiles of 1000 bootstrap draws. The test draws the groups again, 1000 times, and compares
    Welch's t of each gap with the largest |t| among all metrics and pairs of that draw, which keeps the chance of any
    false alarm among them at 5 %, whatever their number and however they hang together.
    Source: Efron, Bootstrap Methods (1979); Westfall and Young, Resampling-Based Multiple Testing (1993), max T.
    """
    names = list(dict.fromkeys(groups))
    labels = torch.tensor([names.index(one) for one in groups])
    values = torch.stack([column.double() for column in columns.values()], dim=1)  # (n, C)
    generator = torch.Generator().manual_seed(seed)
    pairs = list(combinations(range(len(names)), 2))
    p = _p_values(values, labels, pairs, generator)
    return [
        _compared(metric, values[:, at], labels, names, dict(zip(pairs, p[at].tolist(), strict=True)), generator)
        for at, metric in enumerate(columns)
    ]


def _compared(
    metric: str,
    values: Tensor,
    labels: Tensor,
    names: Sequence[str],
    p: Mapping[tuple[int, int], float],
    generator: torch.Generator,
) -> Compared:
    rows = [values[(labels == at) & values.isfinite()] for at in range(len(names))]
    draws = {at: _draws(some, generator) for at, some in enumerate(rows) if len(some) > 1}
    means = {names[at]: Mean(float(rows[at].mean()), *_ends(drawn), len(rows[at])) for at, drawn in draws.items()}
    gaps = [
        Gap(
            names[one], names[other], means[names[one]].value - means[names[other]].value,
            *_ends(draws[one] - draws[other]), chance,
        )
        for (one, other), chance in p.items()
        if one in draws and other in draws
    ]  # fmt: skip
    return Compared(metric, means, tuple(gaps))


def _draws(rows: Tensor, generator: torch.Generator) -> Tensor:
    """The means (ROUNDS,) of as many rows, drawn with replacement."""
    return rows[torch.randint(len(rows), (ROUNDS, len(rows)), generator=generator)].mean(dim=1)


def _ends(draws: Tensor) -> tuple[float, float]:
    ends = percentiles(draws)
    assert ends is not None  # all draws are finite
    return ends


def _p_values(values: Tensor, labels: Tensor, pairs: Sequence[tuple[int, int]], generator: torch.Generator) -> Tensor:
    """The chances (C, pairs) of a largest |t|, among all of them, as large as each one's own."""
    seen = _t_values(values, labels[None], pairs)[0]
    drawn = labels[torch.rand(ROUNDS, len(labels), generator=generator).argsort(dim=1)]  # (ROUNDS, n)
    largest = torch.cat([_t_values(values, some, pairs).flatten(1).amax(dim=1) for some in torch.split(drawn, 500)])
    at_least = (largest[:, None, None] >= seen * (1 - 1e-9)).sum(dim=0)
    return (1 + at_least) / (1 + ROUNDS)


def _t_values(values: Tensor, labels: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Welch's |t| (R, C, pairs) of values (n, C), nan where there is none, under R assignments (R, n) to groups.

    0 where two means are the same as far as float32 can tell, and where a group has fewer than two numbers.
    """
    there = values.isfinite().double()
    known = torch.where(there > 0, values, 0.0)
    centred = torch.where(there > 0, known - known.sum(dim=0) / there.sum(dim=0).clamp(min=1), 0.0)
    groups = torch.arange(int(labels.max()) + 1)
    members = (labels[:, None] == groups[:, None]).double()  # (R, K, n)
    sums = members.flatten(0, 1) @ torch.cat([there, centred, centred.square()], dim=1)
    n, total, square = sums.reshape(len(members), len(groups), -1).chunk(3, dim=2)  # (R, K, C)
    mean = total / n.clamp(min=1)
    error = ((square / n.clamp(min=1) - mean.square()).clamp(min=0) / (n - 1).clamp(min=1)).masked_fill(
        n < 2, torch.inf
    )
    one, other = ([pair[at] for pair in pairs] for at in (0, 1))
    gap, spread = (mean[:, one] - mean[:, other]).abs(), (error[:, one] + error[:, other]).sqrt()
    tiny = RESOLUTION * known.abs().amax(dim=0)
    t = torch.where(gap <= tiny, 0.0, gap / spread.clamp(min=tiny))
    return t.transpose(1, 2)
