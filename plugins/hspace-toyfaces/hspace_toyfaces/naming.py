"""Honest names for found directions: the attribute that one moves most, if it moves any enough."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hspace.backbone import Backbone
from hspace.direction import Direction

from .attributes import NAMES
from .inverted_faces import Inverted, edited, inverted_faces
from .measuring import regressor_changes
from .regressor import Regressor, load_regressor

NAMED = 0.5
"""The change in SD below which a direction is not named after an attribute."""


@dataclass(frozen=True)
class Dominant:
    """The attribute that an edit at one strength moves most: its mean D, and its share of all attributes' |mean D|."""

    direction: str
    strength: float
    n: int
    protocol: str
    attribute: str
    change: float
    selectivity: float | None

    @property
    def name(self) -> str:
        """The attribute with the sign of its change; "unnamed" below 0.5 SD."""
        if abs(self.change) < NAMED:
            return "unnamed"
        return f"{'+' if self.change > 0 else '-'}{self.attribute}"


def dominant_attributes(
    backbone: Backbone,
    direction: Direction,
    *,
    strength: float | None = None,
    n: int = 32,
    seed: int = 1,
    steps: int = 40,
    faces: Inverted | None = None,
    regressor: Regressor | None = None,
) -> tuple[Dominant, Dominant]:
    """The attributes that the direction moves most at -strength and at +strength, by the regressor.

    The strength is the largest that the direction was looked at with if not given; the rest, and what is raised,
    is as for `measure_direction`.
    """
    strength = max(abs(direction.meta.strength.min), abs(direction.meta.strength.max)) if strength is None else strength
    regressor = regressor or load_regressor()
    faces = faces or inverted_faces(backbone, n, seed, steps)
    low, high = (
        dominant(direction.id, at, edited(backbone, direction, at, faces), faces, regressor)
        for at in (-strength, strength)
    )
    return low, high


def dominant(direction: str, strength: float, edit: Tensor, faces: Inverted, regressor: Regressor) -> Dominant:
    """The attribute that changed most between the reconstructions and their (n, 3, S, S) edits."""
    changes = regressor_changes(faces.recon, edit, regressor).mean(dim=0)
    top = int(changes.abs().argmax())
    whole = float(changes.abs().sum())
    selectivity = abs(float(changes[top])) / whole if whole else None
    return Dominant(direction, strength, len(edit), faces.protocol, NAMES[top], float(changes[top]), selectivity)
