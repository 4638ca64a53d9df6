"""What an edit did to faces whose attributes are known; every measure is a function that says its definition.

D_j = (r_j(edit) - r_j(recon)) / SD_j: how far an edit moved attribute j of a face, as an instrument r reads it, in
standard deviations of the attribute among random faces. The instrument is the renderer fit for the target, which a
pasted part does not fool, and the trained regressor for all other attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

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


class Measurable(Protocol):
    """What the measures are made of: numbers of n edited faces, and what the edit was after.

    `change` (n,) is D of the target by the renderer fit, nan for a face on which the target cannot be seen; `before`
    and `after` (n,) are the RMSE of reconstruction and edit to their best fits. `ratios` (n,) and `outside` (n, 2) are
    those of `Edited`; `at` (n,) is the known value of the target.
    """

    @property
    def target(self) -> str: ...
    @property
    def sign(self) -> int: ...
    @property
    def at(self) -> Tensor: ...
    @property
    def change(self) -> Tensor: ...
    @property
    def before(self) -> Tensor: ...
    @property
    def after(self) -> Tensor: ...
    @property
    def ratios(self) -> Tensor: ...
    @property
    def outside(self) -> Tensor: ...


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

    @property
    def at(self) -> Tensor:
        """The known values (n,) of the target."""
        return self.known[self.target]

    @cached_property
    def fits(self) -> tuple[Fit, Fit]:
        """The fits of the target to the reconstructions and to the edits."""
        return fit(self.known, self.recon, self.target), fit(self.known, self.edit, self.target)

    @cached_property
    def change(self) -> Tensor:
        """D of the target (n,), by the renderer fit; nan for a face on which the target cannot be seen."""
        before, after = self.fits
        return (after.values - before.values) / population_sd()[self.target]

    @property
    def before(self) -> Tensor:
        """The RMSE (n,) between the reconstructions and their best fits."""
        return self.fits[0].rmse

    @property
    def after(self) -> Tensor:
        """The RMSE (n,) between the edits and their best fits."""
        return self.fits[1].rmse

    @cached_property
    def ratios(self) -> Tensor:
        """||(edit - recon) - (cf - x_0)|| / ||cf - x_0|| of each face (n,): 0 for a perfect edit, 1 for none.

        cf is the known face rendered with its target moved by the measured change, x_0 without. A face on which the
        fit saw no change counts as 1 if the edit left its pixels alone, as infinite else.
        """
        before, after = self.fits
        low, high = ATTRIBUTES[self.target].low, ATTRIBUTES[self.target].high
        moved = (self.at + (after.values - before.values).nan_to_num()).clamp(low, high)
        size = self.recon.shape[-1]
        x_0, cf = (render(faces, size) for faces in (self.known, self.known | {self.target: moved}))
        missed = ((self.edit - self.recon) - (cf - x_0)).flatten(1).norm(dim=1)
        ideal = (cf - x_0).flatten(1).norm(dim=1)
        return torch.where(missed == ideal, 1.0, missed / ideal)

    @cached_property
    def outside(self) -> Tensor:
        """For each face the sum of absolute changes where the target cannot change it, and how many values these are.

        (n, 2), the changes as a share of a pixel's full range.
        """
        outside = ~changed_mask(self.known, self.target, self.recon.shape[-1])
        change = ((self.edit - self.recon).abs() / 2 * outside).double().sum(dim=(1, 2, 3))
        return torch.stack([change, outside.expand_as(self.recon).sum(dim=(1, 2, 3)).double()], dim=1)


def room(faces: Measurable, sd: float) -> Tensor:
    """Which faces (n,) can go that many SD the intended way before the end of the target's range."""
    end = ATTRIBUTES[faces.target].high if faces.sign > 0 else ATTRIBUTES[faces.target].low
    return (end - faces.at) * faces.sign / population_sd()[faces.target] >= sd


def effect(faces: Measurable) -> float | None:
    """E: the mean D of the target, by the renderer fit."""
    return _number(faces.change.nanmean())


def successes(faces: Measurable, sd: float = SUCCESS) -> Tensor:
    """1 for each face (n,) whose target moved by `sd` or more the intended way, by the renderer fit, 0 for the others.

    nan for those that have not so much room left before the end of the attribute's range, or cannot be read.
    """
    counted = room(faces, sd) & ~faces.change.isnan()
    return torch.where(counted, ((faces.change * faces.sign) >= sd).to(faces.change), torch.nan)


def success(faces: Measurable, sd: float = SUCCESS) -> float | None:
    """The share of faces whose target moved by `sd` or more the intended way; None where none has so much room."""
    return _number(successes(faces, sd).nanmean())


def residual(faces: Measurable) -> float | None:
    """The mean RMSE between edits and their best fits, over that of the reconstructions: 1 stays among the faces."""
    return _number(faces.after.nanmean() / faces.before.nanmean())


def counterfactual_ratios(faces: Measurable) -> Tensor:
    """The ratios (n,) of the faces that have room to move, as for `success`, nan for the others.

    At the end of the range the counterfactual is the face itself, and the ratio has no meaning.
    """
    return torch.where(room(faces, SUCCESS), faces.ratios, torch.nan)


def counterfactual_ratio(faces: Measurable) -> float | None:
    """The median of the counterfactual ratios: 0 for a perfect edit, 1 for none.

    None where the median is infinite, or no face has room.
    """
    ratios = counterfactual_ratios(faces)
    ratios = ratios[~ratios.isnan()]
    return _number(ratios.quantile(0.5)) if len(ratios) else None


def outside_change(faces: Measurable) -> float | None:
    """out_px: the mean absolute change, as a share of a pixel's full range, where the target cannot change a face.

    None where the target can change every pixel of every face.
    """
    change, values = faces.outside.sum(dim=0)
    return _number(change / values)


def regressor_changes(recon: Tensor, edit: Tensor, regressor: Regressor) -> Tensor:
    """D of all attributes by the regressor, between (n, 3, S, S) pictures: (n, len(NAMES))."""
    with torch.no_grad():
        before, after = (regressor.predict(some.clamp(-1, 1)) for some in (recon, edit))
    return (after - before) / torch.tensor([population_sd()[name] for name in NAMES])


def entanglement(faces: Measurable, changes: Tensor) -> float | None:
    """The mean over the other attributes j of |mean D_j|, by the regressor, over |E|. None where E is 0."""
    others = [index for index, name in enumerate(NAMES) if name != faces.target]
    return _number(changes.mean(dim=0)[others].abs().mean() / faces.change.nanmean().abs())


def identity_change(faces: Measurable, changes: Tensor) -> float | None:
    """The mean |D| of the identity attributes other than the target, by the regressor."""
    return _number(changes[:, [NAMES.index(name) for name in traits(faces.target)]].abs().mean())


def traits(target: str) -> list[str]:
    """The identity attributes other than the target."""
    return [name for name, one in ATTRIBUTES.items() if one.kind == "identity" and name != target]


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
