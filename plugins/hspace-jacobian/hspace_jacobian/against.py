"""Keeping a direction apart from others: what they do is taken out of it, timestep by timestep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hspace import Backbone, Direction, Head, State, Task
from hspace.errors import UsageError
from hspace.loading import load_direction
from hspace.sampling import Edit
from hspace.sheets import parts
from hspace_jacobian.rows import Rows
from hspace_jacobian.walking import Window, visits

Against = str | list[str] | None
PROBES = 8
"""On how many latents, at once, a head that depends on the picture is asked; what counts is its mean."""
ALONE = 1e-6
"""A direction whose part outside the others' span is smaller, relative to it, is one of them."""
NOTHING = 1e-3
"""The share of its length that must be left of a direction for it to be one."""


def others(named: Against) -> tuple[Direction, ...]:
    """The directions of those ids (or folders), a string being split at its commas; of a basis, all components.

    Raises NotFoundError and RefusedError as `load_direction` does, UsageError for an empty name.
    """
    names = [] if named is None else named.split(",") if isinstance(named, str) else list(named)
    if not all(name.strip() for name in names):
        raise UsageError(f"against takes ids of directions, as ID or ID,ID; {named!r} was given")
    return tuple(parts([load_direction(name.strip()) for name in names]))


def without(
    backbone: Backbone, task: Task, rows: Rows, directions: Sequence[Direction], window: Window
) -> tuple[Rows, Tensor]:
    """(the rows without what the directions have in common with them, the share (k,) of their length that is left).

    At each timestep of the window v = v0 - V (V'V)^-1 V' v0, V being what the directions that act there do; there is
    then a row for each, unless all are equal. Source: Haas et al., arXiv:2303.11073.

    Raises RefusedError for a direction of another backbone, UsageError for one that is not of h.
    """
    edits = [Edit.along(one, 1.0, backbone) for one in directions]
    grown = rows.at(window.timesteps(backbone, task.steps))
    V: dict[int, Tensor] = {}
    for t, state in visits(backbone, task.x_T[:PROBES], task.steps, window):
        acting = [(edit.head, one) for edit, one in zip(edits, directions, strict=True) if edit.acts(t)]
        if acting:
            V[t] = torch.stack([_answer(head, state, one) for head, one in acting])
    kept = torch.stack([_outside(grown.vectors[:, row], V.get(t)) for row, t in enumerate(grown.timesteps)], dim=1)
    left = kept.flatten(1).norm(dim=1) / grown.vectors.flatten(1).norm(dim=1)
    if bool((kept == kept[:, :1]).all()):
        return Rows(kept[:, :1], rows.timesteps[:1]), left
    return Rows(kept, grown.timesteps), left


def _answer(head: Head, state: State, direction: Direction) -> Tensor:
    """The sum (m,) over latents of what a head adds to h, in float64 on the CPU."""
    delta_h: Tensor = head(state)
    if delta_h.shape[1:] != state.h.shape[1:]:
        raise UsageError(f"against takes directions that shift h; {direction.id!r} shifts something else")
    return delta_h.double().cpu().sum(dim=0).flatten()


def _outside(vectors: Tensor, V: Tensor | None) -> Tensor:
    """The vectors (k, ...) without their parts in the span of the rows of V (q, m), which may depend on each other."""
    if V is None:
        return vectors
    _, S, Vh = torch.linalg.svd(V, full_matrices=False)
    basis = Vh[ALONE * S[0].clamp_min(torch.finfo(S.dtype).tiny) < S]
    v0 = vectors.flatten(1).double()
    rest: Tensor = v0 - (v0 @ basis.mT) @ basis
    return rest.reshape(vectors.shape).to(vectors)
