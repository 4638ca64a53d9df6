"""Directions of space "x": right singular vectors as moves of x_t, in the unit of strength."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from hspace import Backbone
from hspace.calibration import units_of
from hspace.errors import UsageError
from hspace.meta import Guidance, OneShot
from hspace.moving import step_of
from hspace.sampling import Move

MoveName = Literal["guidance", "one-shot"]
MOVES: dict[str, MoveName] = {"encoder": "guidance", "pmp": "one-shot"}
"""How the sources of the maps move along their vectors."""


def move_of(kind: str, components: int, gamma: float, iterations: int) -> Guidance | OneShot:
    """The move of that kind. Raises UsageError for another kind, or a gamma or iterations that are not positive."""
    if kind not in ("guidance", "one-shot"):
        raise UsageError(f"move must be guidance or one-shot; {kind!r} was given")
    if not gamma > 0 or iterations < 1:
        raise UsageError(f"guidance needs gamma > 0 and iterations >= 1; {gamma:g} and {iterations} were given")
    if kind == "guidance":
        return Guidance(components=components, gamma=gamma, iterations=iterations)
    return OneShot(components=components)


def in_x(
    backbone: Backbone, move: Guidance | OneShot, vectors: Tensor, shifts: Tensor, x_t: Tensor, t: int, probes: Tensor
) -> dict[str, Any]:
    """What `Direction.bind` takes of moves along unit vectors (k, C, H, W), found at x_t (1, C, H, W) and t.

    Each vector is as long as makes strength 1 change the pictures of the x_T `probes` (B, C, H, W) by
    `calibration.CHANGE`, at most half as long as x_t. The unit `shifts` (k, Ch, Hh, Wh), what each does to h at first,
    are kept beside them: `transport` starts from there.
    """
    vectors, shifts = (one.float().cpu().contiguous() for one in (vectors, shifts))
    moves = [Move(step_of(move, v), 1.0, t) for v in vectors]
    lengths = units_of(backbone, moves, probes, longest=float(x_t.norm()) / 2)
    return {
        "space": "x",
        "move": move,
        "t_edit": t,
        "weights": {"vectors": vectors * torch.tensor(lengths).reshape(-1, 1, 1, 1), "shifts": shifts},
    }
