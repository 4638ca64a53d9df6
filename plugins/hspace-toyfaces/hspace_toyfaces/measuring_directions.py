"""What a direction does to rendered faces, measured at several strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.errors import UsageError, not_found
from hspace.sampling import Callback

from . import measuring
from .attributes import NAMES
from .inverted_faces import Inverted, edited, inverted_faces
from .measuring import Edited, Line
from .regressor import Regressor, load_regressor


@dataclass(frozen=True)
class Measures:
    """What an edit of n faces at one strength did; None is what could not be measured.

    Every number is defined by the function of `hspace_toyfaces.measuring` that measures it.
    """

    strength: float
    n: int
    effect: float | None
    regressor_effect: float | None
    success: float | None
    moved: float | None
    residual: float | None
    counterfactual: float | None
    outside: float | None
    entanglement: float | None
    identity: float | None

    @property
    def disputed(self) -> bool | None:
        """Whether the regressor's effect is more than 30 % of the fit's away from it."""
        if self.effect is None or self.regressor_effect is None:
            return None
        return abs(self.effect - self.regressor_effect) > measuring.DISAGREEMENT * abs(self.effect)


@dataclass(frozen=True)
class Measured:
    """A direction's measures on a target, one row per strength, and how straight the effect is on either side."""

    direction: str
    target: str
    protocol: str
    rows: tuple[Measures, ...]
    negative: Line | None
    positive: Line | None


def measure_direction(
    backbone: Backbone,
    direction: Direction,
    target: str,
    *,
    strengths: Sequence[float],
    n: int = 32,
    seed: int = 1,
    steps: int = 40,
    faces: Inverted | None = None,
    regressor: Regressor | None = None,
    callback: Callback | None = None,
) -> Measured:
    """What the direction does to the target and to all else, on n rendered faces, at each strength.

    A positive strength is meant to give more of the target, a negative one less. `faces` spares the inversion of
    those of an earlier call, and then n, seed and steps are theirs. `regressor` is the zoo's if not given.
    Raises NotFoundError for an unknown target or a missing regressor, UsageError for a strength of 0 or none at
    all, RefusedError for a direction of another backbone.
    """
    if target not in NAMES:
        raise not_found("attribute", target, NAMES, "It is what the direction is meant to change.")
    if not strengths or 0 in strengths:
        raise UsageError(f"strengths must be one or more numbers other than 0; {list(strengths)} was given")
    regressor = regressor or load_regressor()
    faces = faces or inverted_faces(backbone, n, seed, steps)
    rows = []
    for done, strength in enumerate(strengths, start=1):
        pictures = Edited(
            faces.known, faces.recon, edited(backbone, direction, strength, faces), target, 1 if strength > 0 else -1
        )
        rows.append(measure(pictures, strength, regressor))
        if callback is not None:
            callback(done, len(strengths))
    effects = {row.strength: row.effect for row in rows}
    lines = (measuring.line(effects, sign) for sign in (-1, 1))
    return Measured(direction.id, target, faces.protocol, tuple(rows), *lines)


def measure(pictures: Edited, strength: float, regressor: Regressor) -> Measures:
    """All measures of pictures that were edited at a strength."""
    changes = measuring.regressor_changes(pictures.recon, pictures.edit, regressor)
    return Measures(
        strength=strength,
        n=len(pictures.edit),
        effect=measuring.effect(pictures),
        regressor_effect=float(changes[:, NAMES.index(pictures.target)].mean()),
        success=measuring.success(pictures),
        moved=measuring.success(pictures, 1.0),
        residual=measuring.residual(pictures),
        counterfactual=measuring.counterfactual_ratio(pictures),
        outside=measuring.outside_change(pictures),
        entanglement=measuring.entanglement(pictures, changes),
        identity=measuring.identity_change(pictures, changes),
    )
