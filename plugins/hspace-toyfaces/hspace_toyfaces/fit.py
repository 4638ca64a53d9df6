"""The renderer fit: an attribute is read from a picture as the value whose render is nearest to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .attributes import ATTRIBUTES, NAMES
from .regions import VISIBLE
from .renderer import render

POINTS = 21
FACES_AT_ONCE = 32
TOLERATED = 0.2
"""Errors well above this, in pictures in [-1, 1], all count alike."""


@dataclass(frozen=True)
class Fit:
    """What n pictures were read as: the values (n,), and the RMSE (n,) that is left to the render at that value.

    The RMSE is over the pixels that the attribute can change, of pictures in [-1, 1]. Both are nan for a face
    on which the attribute cannot be seen.
    """

    values: Tensor
    rmse: Tensor


def fit(known: Mapping[str, Tensor], pictures: Tensor, name: str) -> Fit:
    """The value of one attribute in (n, 3, S, S) pictures in [-1, 1] of faces that are otherwise known.

    The known face is rendered at 21 values over the attribute's range, then at 21 around the nearest of them, and
    a parabola through the least distances gives the value between those; it cannot leave the range. The distance
    is the mean of e^2 / (e^2 + 0.2^2) over the pixels, e^2 being a pixel's squared error: a few pixels that are
    very wrong, such as teeth pasted under a frown, do not outvote many that are right. What the fit cannot tell
    apart is another attribute that colours the same pixels: a darker skin is read as some age.
    Raises ValueError for an unknown attribute, or where faces and pictures differ in number.
    """
    if name not in ATTRIBUTES:
        raise ValueError(f"attribute {name!r} is not one of {', '.join(NAMES)}. Use one of these names.")
    if len(known[name]) != len(pictures):
        raise ValueError(f"{len(known[name])} faces were given for {len(pictures)} pictures; give one face for each.")
    fits = [
        _fit({key: values[start : start + FACES_AT_ONCE] for key, values in known.items()}, some, name)
        for start, some in zip(
            range(0, len(pictures), FACES_AT_ONCE), torch.split(pictures, FACES_AT_ONCE), strict=True
        )
    ]
    return Fit(torch.cat([one.values for one in fits]), torch.cat([one.rmse for one in fits]))


def _fit(known: Mapping[str, Tensor], pictures: Tensor, name: str) -> Fit:
    low, high = ATTRIBUTES[name].low, ATTRIBUTES[name].high
    spacing = (high - low) / (POINTS - 1)
    grid = torch.linspace(low, high, POINTS, device=pictures.device).repeat(len(pictures), 1)
    sweep = _sweep(known, name, grid, pictures.shape[-1])
    seen = (sweep.amax(dim=1) - sweep.amin(dim=1)).amax(dim=1, keepdim=True) > VISIBLE  # (n, 1, S, S)
    nearest = grid.gather(1, _distances(_squares(sweep, pictures), seen).argmin(dim=1, keepdim=True))
    left, right = (nearest - spacing).clamp(min=low), (nearest + spacing).clamp(max=high)
    grid = left + (right - left) * torch.linspace(0, 1, POINTS, device=pictures.device)
    fine = _sweep(known, name, grid, pictures.shape[-1])
    values = _lowest(grid, _distances(_squares(fine, pictures), seen))
    best = _sweep(known, name, values, pictures.shape[-1])
    rmse = _mean(_squares(best, pictures), seen).sqrt()
    return Fit(torch.where(seen.any(dim=(1, 2, 3)), values[:, 0], torch.nan), rmse[:, 0])


def _sweep(known: Mapping[str, Tensor], name: str, values: Tensor, size: int) -> Tensor:
    """The faces with the attribute at (n, points) values: (n, points, 3, S, S)."""
    n, points = values.shape
    faces = {key: one.to(values).repeat_interleave(points) for key, one in known.items()}
    return render(faces | {name: values.flatten()}, size).reshape(n, points, 3, size, size)


def _squares(renders: Tensor, pictures: Tensor) -> Tensor:
    """The squared errors (n, points, S, S) of the pixels."""
    return (renders - pictures[:, None]).square().mean(dim=2)


def _distances(squares: Tensor, seen: Tensor) -> Tensor:
    """The distances (n, points): 0 for the same picture, 1 for one that is altogether different."""
    return _mean(squares / (squares + TOLERATED**2), seen)


def _mean(planes: Tensor, seen: Tensor) -> Tensor:
    """The means (n, points) of (n, points, S, S) planes over the pixels (n, 1, S, S) that are seen to change."""
    return (planes * seen).sum(dim=(2, 3)) / seen.sum(dim=(2, 3))


def _lowest(grid: Tensor, distances: Tensor) -> Tensor:
    """Where the parabola through the lowest of (n, points) distances and its neighbours is least: (n, 1) values."""
    middle = distances.argmin(dim=1, keepdim=True).clamp(1, POINTS - 2)
    before, here, after = (distances.gather(1, middle + step).double() for step in (-1, 0, 1))
    bend = before - 2 * here + after
    offset = torch.where(bend > 0, 0.5 * (before - after) / bend, 0.0).clamp(-1, 1).to(grid)
    return grid.gather(1, middle) + offset * (grid[:, 1:2] - grid[:, :1])
