"""Sweeps: pictures at evenly spaced strengths, along one side or over the grid of two, and their sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from PIL import Image

from hspace.errors import UsageError
from hspace.images import contact_sheet, open_image

if TYPE_CHECKING:
    from hspace.editing import Output

MOST = 2
"""How many sweeps at a time: a sheet has two sides."""


@dataclass(frozen=True)
class Sweep:
    """One side of a grid: factors on the strength of a direction, by its id, or of all of them."""

    factors: tuple[float, ...]
    direction: str | None = None


def require_grid(sweeps: Sequence[Sweep], ids: Sequence[str]) -> None:
    """Raises UsageError unless the sweeps are sides of one grid over directions of these ids."""
    swept = [one.direction for one in sweeps]
    if len(swept) > MOST:
        raise UsageError(f"at most {MOST} sweeps at a time, the rows and columns of a sheet; {len(swept)} were given")
    if None in swept and len(swept) > 1:
        raise UsageError("a sweep of all strengths stands alone; name a direction in each: --sweep ID=FROM:TO:COUNT")
    if len(set(swept)) < len(swept):
        raise UsageError(f"{swept[0]!r} is swept twice; sweep it once, or another direction")
    for id in swept:
        if id is not None and id not in ids:
            raise UsageError(f"there is no direction {id!r} to sweep; there are {', '.join(ids)}")


def grid(
    strengths: Sequence[tuple[str, float]], sweeps: Sequence[Sweep]
) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Every (factors, strengths) of a grid, a factor per sweep and a strength per direction; the last sweep fastest."""
    for factors in product(*(one.factors for one in sweeps)):
        scaled = [strength for _, strength in strengths]
        for sweep, factor in zip(sweeps, factors, strict=True):
            for index, (id, _) in enumerate(strengths):
                scaled[index] *= factor if sweep.direction in (None, id) else 1.0
        yield factors, tuple(scaled)


def sweep_sheet(outputs: Sequence["Output"], sweeps: Sequence[Sweep]) -> Image.Image:
    """A sheet of a sweep: a column per factor of the last sweep; a row per input, or per input and factor of the first.

    The title says what the rows and the columns are, and at which strengths the other directions stood.
    """
    *rows, columns = sweeps
    side = len(columns.factors)
    lines = [outputs[start : start + side] for start in range(0, len(outputs), side)]
    pictures = [[[open_image(one.output) for one in line]] for line in lines]
    factors = rows[0].factors if rows else (None,)
    labels = [
        line[0].input.stem if factor is None else f"{line[0].input.stem} {factor:+.3g}"
        for line, factor in zip(lines, factors * (len(lines) // len(factors)), strict=True)
    ]
    return contact_sheet(pictures, labels, [f"{factor:+.3g}" for factor in columns.factors], _title(outputs[0], sweeps))


def _title(output: "Output", sweeps: Sequence[Sweep]) -> str:
    if sweeps[0].direction is None:
        return ", ".join(output.strengths)
    sides = ["columns"] if len(sweeps) == 1 else ["rows", "columns"]
    swept = [f"{side}: {sweep.direction}" for side, sweep in zip(sides, sweeps, strict=True)]
    names = {sweep.direction for sweep in sweeps}
    fixed = [f"{id}={strength:g}" for id, strength in output.strengths.items() if id not in names]
    return "; ".join([*swept, *fixed])
