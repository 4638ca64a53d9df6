"""What the measures at several strengths say together: how straight the effect grows, and measures at equal effect."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hspace.metric import Result

from .measuring import line

MATCHED = 1.5
"""The effect, in SD, at which the entanglement of directions is compared."""
SIDES = {"negative": -1, "positive": 1}

Numbers = Mapping[float, Mapping[str, float | None]]
"""By strength, then by the name of the result."""


def lines(numbers: Numbers, n: int, protocol: str) -> list[Result]:
    """Slope and R^2 of the effect on the strength, for the strengths of either sign."""
    effects = {strength: some.get("toyfaces.effect") for strength, some in numbers.items()}
    found = []
    for side, sign in SIDES.items():
        fitted = line(effects, sign)
        reason = "" if fitted else f"a line needs two {side} strengths whose effects differ"
        told = f"{protocol}; least squares through 0, {side} strengths"
        slope, r2 = (fitted.slope, fitted.r2) if fitted else (None, None)
        found += [
            Result(f"toyfaces.slope.{side}", slope, n, f"{told}, in SD per unit", reason=reason),
            Result(f"toyfaces.r2.{side}", r2, n, told, reason=reason),
        ]
    return found


def matched(numbers: Numbers, n: int, protocol: str) -> list[Result]:
    """The entanglement at |E| = 1.5 SD, between the two strengths of either sign on whose two sides that is."""
    found = []
    for side, sign in SIDES.items():
        points: list[tuple[float, float | None]] = [(0.0, None)]
        for strength in sorted((one for one in numbers if one * sign > 0), key=abs):
            effect, mixed = (numbers[strength].get(f"toyfaces.{name}") for name in ("effect", "entanglement"))
            if effect is not None and mixed is not None:
                points.append((abs(effect), mixed))
        value, reason = _between(points, side)
        told = f"{protocol}; interpolated to an effect of {MATCHED:g} SD, {side} strengths"
        found.append(Result(f"toyfaces.matched-entanglement.{side}", value, n, told, reason=reason))
    return found


def _between(points: list[tuple[float, float | None]], side: str) -> tuple[float | None, str]:
    """The entanglement at the matched effect, or why there is none; points are (effect, entanglement)."""
    for (low, before), (high, after) in pairwise(points):
        if low <= MATCHED <= high:
            if before is None or after is None:
                return None, f"the smallest {side} strength has an effect of {high:.2g} SD already; give smaller ones"
            share = (MATCHED - low) / (high - low) if high > low else 0.0
            return before + share * (after - before), ""
    if len(points) == 1:
        return None, f"no {side} strength was measured that has an effect"
    most = max(effect for effect, _ in points)
    return None, f"no {side} strength has an effect of {MATCHED:g} SD; the largest is {most:.2g}"
