"""Intervals of numbers that are made of many pictures, by drawing the pictures again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hspace.metric import Result

ROUNDS = 1000
LEVEL = 0.95
DRAWN_AT_ONCE = 1 << 20
"""How many numbers are drawn at a time, which bounds the memory."""

Statistic = Callable[[Tensor], Tensor]
"""From rows (n, ...), one per picture, to a number."""


def interval(rows: Tensor, statistic: Statistic | None = None, *, seed: int = 0) -> tuple[float, float] | None:
    """The ends of the 95 % interval of a statistic of rows (n, ...), by 1000 draws of n rows with replacement.

    Without a statistic that of the mean of rows (n,). Draws for which it is not finite are left out. None for fewer
    than 2 rows, and where fewer than half of the draws are left.
    Source: Efron, Bootstrap Methods (1979), the percentile interval.
    """
    n = len(rows)
    if n < 2:
        return None
    generator = torch.Generator().manual_seed(seed)
    found = []
    for start in range(0, ROUNDS, at_once := max(1, DRAWN_AT_ONCE // n)):
        drawn = torch.randint(n, (min(at_once, ROUNDS - start), n), generator=generator)
        found.append(rows[drawn].mean(dim=1) if statistic is None else torch.stack([statistic(rows[i]) for i in drawn]))
    return percentiles(torch.cat(found).double())


def percentiles(draws: Tensor) -> tuple[float, float] | None:
    """The ends of the middle 95 % of the finite among some draws (R,); None where fewer than half are finite."""
    finite = draws[draws.isfinite()]
    if 2 * len(finite) < len(draws):
        return None
    low, high = finite.quantile(torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=finite.dtype)).tolist()
    return low, high


def summarise(
    name: str,
    rows: Tensor,
    index: Tensor,
    protocol: str,
    *,
    pair: str = "",
    statistic: Statistic | None = None,
    seed: int = 0,
    missing: str = "",
    detail: bool = False,
) -> Result:
    """The result of a statistic of rows, one for each of the pictures `index` (n,); the mean of rows (n,) by default.

    Rows of nothing but nan are of pictures that could not be measured, and are left out; `missing` says why there are
    such. Where rows are numbers, each picture keeps its own, and there is a spread. A statistic that is not finite is
    no value.
    """
    there = ~rows.isnan().reshape(len(rows), -1).all(dim=1)
    rows, index = rows[there].double(), index[there]
    values: Mapping[int, float] = {}
    if rows.ndim == 1:
        finite = rows.isfinite()
        values = dict(zip(index[finite].tolist(), rows[finite].tolist(), strict=True))
    found = float(statistic(rows) if statistic else rows.mean()) if len(rows) else float("nan")
    if not abs(found) < float("inf"):
        why = f"of {len(rows)} pictures it is {found}" if len(rows) else "no picture could be measured"
        return Result(
            name, None, len(rows), protocol, pair, values=values, detail=detail, reason=f"{why}. {missing}".rstrip(". ")
        )
    low, high = interval(rows, statistic, seed=seed) or (None, None)
    spread = float(rows.std()) if rows.ndim == 1 and len(rows) > 1 and bool(rows.isfinite().all()) else None
    return Result(name, found, len(rows), protocol, pair, low, high, spread, values=values, detail=detail)
