"""The measures of edits of known faces as a metric: streamed, with intervals, and over several strengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hspace.bootstrap import summarise
from hspace.metric import Batch, Result
from hspace.per_picture import PerPicture

from . import measuring
from .attributes import NAMES
from .lines import lines, matched
from .measuring import Edited
from .regressor import load_regressor
from .target import parse_target, target_of

PAIR = "recon-edit"
Measure = Callable[[Any], float | None]
ONE = ("at", "change", "before", "after", "ratios")
"""Columns of one number per face."""


@dataclass(frozen=True)
class Rows:
    """The numbers of n faces that the measures are made of, as `hspace_toyfaces.measuring.Measurable` says."""

    target: str
    sign: int
    at: Tensor
    change: Tensor
    before: Tensor
    after: Tensor
    ratios: Tensor
    outside: Tensor
    changes: Tensor

    @classmethod
    def of(cls, rows: Tensor, target: str, sign: int) -> Rows:
        """From a matrix (n, 7 + len(NAMES)) as `matrix` makes it."""
        at, change, before, after, ratios = rows[:, :5].unbind(1)
        return cls(target, sign, at, change, before, after, ratios, rows[:, 5:7], rows[:, 7:])


class ToyFacesMetric(PerPicture):
    """All measures of `hspace_toyfaces.measuring` on one target, which are meant for known faces.

    `sign` is 1 where more of the target is intended, -1 where less. Each interval draws whole faces.
    """

    def __init__(self, target: str, sign: int, seed: int = 0) -> None:
        super().__init__(seed)
        self.target, self.sign = target, sign
        self.regressor = load_regressor()
        self.protocol = f"{'more' if sign > 0 else 'less'} {target}; recon against edit"

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.recon is not None
        assert batch.edit is not None
        assert batch.attributes is not None
        recon, edit = batch.recon.cpu(), batch.edit.cpu()
        known = {name: values.cpu() for name, values in batch.attributes.items()}
        faces = Edited(known, recon, edit, self.target, self.sign)
        columns = {name: getattr(faces, name) for name in (*ONE, "outside")}
        return {**columns, "changes": measuring.regressor_changes(recon, edit, self.regressor)}

    def compute(self) -> list[Result]:
        columns = self.columns()
        if not columns:
            return []
        rows = torch.cat([torch.stack([columns[name] for name in ONE], 1), columns["outside"], columns["changes"]], 1)
        faces = Rows.of(rows, self.target, self.sign)
        changes = faces.changes
        mine = changes[:, NAMES.index(self.target)]
        others = changes[:, [NAMES.index(name) for name in measuring.traits(self.target)]]
        told = partial(self._told, columns["index"])
        return [
            told("effect", "E, the mean D of the target by renderer fit, in SD", faces.change),
            told("regressor-effect", "the same by the regressor" + self._disputed(faces), mine),
            told("success", "share of faces with room that moved by 0.5 SD, by fit", measuring.successes(faces)),
            told("moved", "share of faces with room that moved by 1 SD, by fit", measuring.successes(faces, 1.0)),
            told("residual", "RMSE to the best fit, over that of recon", rows, measuring.residual),
            told("counterfactual", "median; 0 perfect, 1 no edit", measuring.counterfactual_ratios(faces), _median),
            told("outside", "mean change where the target cannot change a face", rows, measuring.outside_change),
            told("entanglement", "mean |mean D| of the others by the regressor, over |E|", rows, _entanglement),
            told("identity", "mean |D| of the identity attributes, in SD", others.abs().mean(dim=1)),
            *(
                replace(told(f"change.{name}", "mean D by the regressor, in SD", changes[:, place]), detail=True)
                for place, name in enumerate(NAMES)
            ),
        ]

    def _told(self, index: Tensor, name: str, how: str, numbers: Tensor, measure: Measure | None = None) -> Result:
        """A result: what `measure` says of the faces in rows (n, K), or of numbers (n,), and of these else the mean."""

        def statistic(some: Tensor) -> Tensor:
            found = measure(Rows.of(some, self.target, self.sign) if some.ndim > 1 else some) if measure else None
            return torch.tensor(float("nan") if found is None else found, dtype=torch.float64)

        return summarise(
            f"toyfaces.{name}",
            numbers,
            index,
            f"{self.protocol}; {how}",
            pair=PAIR,
            statistic=statistic if measure else None,
            seed=self.seed,
        )

    def across(self, results: Mapping[float, Sequence[Result]]) -> list[Result]:
        """How straight the effect grows on either side, and the entanglement at an effect of 1.5 SD."""
        numbers = {
            strength: {one.name: one.value for one in some if one.pair == PAIR} for strength, some in results.items()
        }
        n = max((one.n for some in results.values() for one in some), default=0)
        return [*lines(numbers, n, self.protocol), *matched(numbers, n, self.protocol)]

    def _disputed(self, faces: Rows) -> str:
        by_fit, by_regressor = measuring.effect(faces), float(faces.changes[:, NAMES.index(self.target)].mean())
        if by_fit is None or abs(by_fit - by_regressor) <= measuring.DISAGREEMENT * abs(by_fit):
            return ""
        return "; more than 30 % off the fit"


def _median(numbers: Tensor) -> float:
    return float(numbers.quantile(0.5))


def _entanglement(faces: Rows) -> float | None:
    return measuring.entanglement(faces, faces.changes)


def build(
    target: str = "", prompts: tuple[str, str] | None = None, strength: float | None = None, seed: int = 0
) -> ToyFacesMetric:
    """The measures on a target, `smile` or `-smile`, by default the one that the prompts name.

    A negative strength is meant to do the opposite. Raises as `parse_target`, `target_of` and `load_regressor` do.
    """
    name, sign = parse_target(target) if target else target_of(prompts)
    return ToyFacesMetric(name, -sign if strength is not None and strength < 0 else sign, seed)
