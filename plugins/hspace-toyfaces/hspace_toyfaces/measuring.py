"""What an edit did to faces whose attributes are known; every measure is a function that says its definition.

D_j = (r_j(edit) - r_j(recon)) / SD_j: how far an edit moved attribute j of a face, as an instrument r reads it, in
standard deviations of the attribute among random faces. The instrument is the renderer fit for the target, which a
pasted part does not fool, and the trained regressor for all other attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from .attributes import ATTRIBUTES, NAMES, Attributes, sample_attributes, to_matrix
from .fit import Fit, fit
from .regions import changed_mask
from .regressor import Regressor
from .renderer import render

SUCCESS = 0.5
"""The change in SD from which an edit of one face counts as done."""
DISAGREEMENT = 0.3
POPULATION = 1 << 16


@cache
def population_sd() -> dict[str, float]:
    """The standard deviation of every attribute among random faces, from 65536 of them."""
    faces = to_matrix(sample_attributes(POPULATION, torch.Generator().manual_seed(0)))
    return dict(zip(NAMES, faces.double().std(dim=0, correction=0).tolist(), strict=True))


@dataclass(frozen=True)
class Edited:
    """n known faces with their reconstructions and edits, (n, 3, S, S) in [-1, 1], and what the edit was after.

    `sign` is 1 where more of the target was intended, -1 where less.
    """

    known: Attributes
    recon: Tensor
    edit: Tensor
    target: str
    sign: int = 1

    def room(self, sd: float) -> Tensor:
        """Which faces (n,) can go that many SD the intended way before the end of the target's range."""
        end = ATTRIBUTES[self.target].high if self.sign > 0 else ATTRIBUTES[self.target].low
        return (end - self.known[self.target]) * self.sign / population_sd()[self.target] >= sd

    @cached_property
    def fits(self) -> tuple[Fit, Fit]:
        """The fits of the target to the reconstructions and to the edits."""
        return fit(self.known, self.recon, self.target), fit(self.known, self.edit, self.target)

    @cached_property
    def change(self) -> Tensor:
        """D of the target (n,), by the renderer fit; nan for a face on which the target cannot be seen."""
        before, after = self.fits
        return (after.values - before.values) / population_sd()[self.target]


def effect(pictures: Edited) -> float | None:
    """E: the mean D of the target, by the renderer fit."""
    return _number(pictures.change.nanmean())


def success(pictures: Edited, sd: float = SUCCESS) -> float | None:
    """The share of faces whose target moved by `sd` or more the intended way, by the renderer fit.

    Of the faces that have so much room left before the end of the attribute's range; None where none has.
    """
    counted = pictures.room(sd) & ~pictures.change.isnan()
    return _number(((pictures.change * pictures.sign) >= sd)[counted].float().mean())


def residual(pictures: Edited) -> float | None:
    """The mean RMSE between edits and their best fits, over that of the reconstructions: 1 stays among the faces."""
    before, after = pictures.fits
    return _number(after.rmse.nanmean() / before.rmse.nanmean())


def counterfactual_ratio(pictures: Edited) -> float | None:
    """The median of ||(edit - recon) - (cf - x_0)|| / ||cf - x_0||: 0 for a perfect edit, 1 for none.

    cf is the known face rendered with its target moved by the measured change, x_0 without. Of the faces that have
    room to move, as for `success`: at the end of the range cf is x_0, and the ratio has no meaning. A face with room on
    which the fit saw no change counts as 1 if the edit left its pixels alone, as infinite else. None where the median
    is infinite, or no face has room.
    """
    before, after = pictures.fits
    low, high = ATTRIBUTES[pictures.target].low, ATTRIBUTES[pictures.target].high
    moved = (pictures.known[pictures.target] + (after.values - before.values).nan_to_num()).clamp(low, high)
    size = pictures.recon.shape[-1]
    x_0, cf = (render(faces, size) for faces in (pictures.known, pictures.known | {pictures.target: moved}))
    missed = ((pictures.edit - pictures.recon) - (cf - x_0)).flatten(1).norm(dim=1)
    ideal = (cf - x_0).flatten(1).norm(dim=1)
    ratios = torch.where(missed == ideal, 1.0, missed / ideal)[pictures.room(SUCCESS)]
    return _number(ratios.quantile(0.5)) if len(ratios) else None


def outside_change(pictures: Edited) -> float | None:
    """out_px: the mean absolute change, as a share of a pixel's full range, where the target cannot change a face.

    None where the target can change every pixel of every face.
    """
    outside = ~changed_mask(pictures.known, pictures.target, pictures.recon.shape[-1])
    change = (pictures.edit - pictures.recon).abs() / 2
    return _number(change[outside.expand_as(change)].mean())


def regressor_changes(recon: Tensor, edit: Tensor, regressor: Regressor) -> Tensor:
    """D of all attributes by the regressor, between (n, 3, S, S) pictures: (n, len(NAMES))."""
    with torch.no_grad():
        before, after = (regressor.predict(some.clamp(-1, 1)) for some in (recon, edit))
    return (after - before) / torch.tensor([population_sd()[name] for name in NAMES])


def entanglement(pictures: Edited, changes: Tensor) -> float | None:
    """The mean over the other attributes j of |mean D_j|, by the regressor, over |E|. None where E is 0."""
    others = [index for index, name in enumerate(NAMES) if name != pictures.target]
    return _number(changes.mean(dim=0)[others].abs().mean() / pictures.change.nanmean().abs())


def identity_change(pictures: Edited, changes: Tensor) -> float | None:
    """The mean |D| of the identity attributes other than the target, by the regressor."""
    traits = [name for name, one in ATTRIBUTES.items() if one.kind == "identity" and name != pictures.target]
    return _number(changes[:, [NAMES.index(name) for name in traits]].abs().mean())


@dataclass(frozen=True)
class Line:
    """How straight the effect grows with the strength: slope in SD per unit of strength, and R^2."""

    slope: float
    r2: float


def line(effects: Mapping[float, float | None], sign: int) -> Line | None:
    """The least-squares line through the effects at strengths of one sign, and through 0 at strength 0.

    None with fewer than two such strengths, where any line would fit, or with an effect that did not vary.
    """
    points = {0.0: 0.0} | {at: value for at, value in effects.items() if at * sign > 0 and value is not None}
    x, y = (torch.tensor(list(some), dtype=torch.float64) for some in (points, points.values()))
    if len(x) < 3 or float(y.std()) == 0:
        return None
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    return Line(float(slope), float(1 - (y - slope * x).square().sum() / (y @ y)))


def _number(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None
