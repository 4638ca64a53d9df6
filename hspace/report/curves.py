"""The curves of a log: each of its columns against the one that counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 320, 150
WIDE = 50
"""From how large a ratio of its ends on a curve of positive values is drawn on a logarithmic scale."""


@dataclass(frozen=True)
class Curve:
    """Values (at least two) along x, and what to call both."""

    name: str
    along: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def logarithmic(self) -> bool:
        """Whether y is drawn on a logarithmic scale."""
        return min(self.y) > 0 and max(self.y) / min(self.y) > WIDE

    @property
    def points(self) -> str:
        """The points of an SVG polyline in a box of WIDTH by HEIGHT, y upwards."""
        heights = [math.log(y) for y in self.y] if self.logarithmic else list(self.y)
        places = zip(_scaled(self.x, WIDTH), _scaled(heights, HEIGHT), strict=True)
        return " ".join(f"{x:.1f},{HEIGHT - y:.1f}" for x, y in places)


def curves(lines: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """A curve for each column of numbers, along the first column that rises from line to line."""
    names = dict.fromkeys(name for line in lines for name in line)
    columns = {name: [line.get(name) for line in lines] for name in names}
    rising = (name for name, values in columns.items() if len(values) > 1 and _rises(values))
    along = next(rising, None)
    if along is None:
        return []
    drawn = []
    for name, values in columns.items():
        both: list[tuple[Any, Any]] = list(zip(columns[along], values, strict=True))
        pairs = [(float(x), float(y)) for x, y in both if _finite(y)]
        if name != along and len(pairs) > 1:
            x, y = zip(*pairs, strict=True)
            drawn.append(Curve(name, along, x, y))
    return drawn


def _scaled(values: Sequence[float], size: int) -> list[float]:
    low, high = min(values), max(values)
    return [size * ((value - low) / (high - low) if high > low else 0.5) for value in values]


def _rises(values: Sequence[Any]) -> bool:
    return all(map(_finite, values)) and all(one < after for one, after in pairwise(values))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
