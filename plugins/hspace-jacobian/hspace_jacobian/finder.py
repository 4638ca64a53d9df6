"""The finder jacobian-svd: the directions that change a map of the backbone most, around each latent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Task
from hspace.errors import UsageError
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace_jacobian.against import Against, others
from hspace_jacobian.in_x import MOVES, MoveName, in_x, move_of
from hspace_jacobian.local import Local, Look, local_basis
from hspace_jacobian.making import UNIT, Find, made, mean_length
from hspace_jacobian.maps import SOURCES, MapName, Pool, build_map
from hspace_jacobian.masks import read_mask
from hspace_jacobian.responses import Scale, scaled_by_sigma
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.rows import Rows
from hspace_jacobian.walking import Window, walk

Space = Literal["h", "x"]
NAME = "jacobian-svd"
PROBES = 2
"""How many latents a direction is calibrated on."""
FOUND = ("converged", "verified", "reason", "sigma_next", "rank", "engine", "precision")
MEASURED = {
    "sigma": "|d output| per |d input| of the map along the direction, at the latent and timestep it was found at",
    "residual": "|J'u - sigma v| / sigma",
    "angle_bound": "largest angle to the exact singular vector, radians",
    "sigma_tail": "lower bound (Ritz value) on the singular values beyond the components",
    "outside": "length of the unit vector outside the leading directions of the rest of the picture",
}


@dataclass(frozen=True)
class Settings:
    """What `build` was called with."""

    look: Look
    k: int
    at: int
    window: Window
    bases: int
    scale: Scale
    against: tuple[Direction, ...]
    space: Space
    move: MoveName
    gamma: float
    iterations: int


class JacobianFinder(Finder):
    """The k leading singular directions of a map at timestep `at`, around the first latents of a task.

    In space "h" they shift h at all timesteps of the window; in space "x" they move x_t at `at`. They are as long as
    makes strength 1 change the pictures of the task by `calibration.CHANGE`. Sources: `maps.SOURCES`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """A local basis for each of the first `bases` latents, largest sigma first.

        Raises UsageError where `at` is outside the schedule, the mask does not fit, the backbone is not in float32
        or float64, or nothing is left beside the directions of `against`; HspaceError where the map does not react
        to its input.
        """
        own, look = self.settings, self.settings.look
        mask = None if look.mask is None else read_mask(look.mask, *task.x_T.shape[-2:])
        maps, spaces = [look.map] if look.map != "encoder" else [], ["x"] if own.space == "x" else []
        kind = "-".join(["local", *maps, *spaces])
        for sample, x_T in enumerate(torch.split(task.x_T[: own.bases], 1)):
            x_t, t = walk(backbone, x_T, task.steps, own.at)
            local = self._decompose(backbone, task, x_t, t, mask, sample)
            told = {
                "what": f"{kind}-t{t}" if own.bases == 1 else f"{kind}-t{t}-{sample}",
                "metrics": _measurements(local),
                "config": self._config(sample, t, local.svd),
                "source": SOURCES[look.map],
                "scope": _scope(task, sample),
            }
            if own.space == "x":
                yield self._moves(backbone, task, local, x_t, t, told)
            else:
                yield self._shifts(backbone, task, local, x_T, x_t, t, mask, told)

    def _shifts(
        self,
        backbone: Backbone,
        task: Task,
        local: Local,
        x_T: Tensor,
        x_t: Tensor,
        t: int,
        mask: Tensor | None,
        told: dict[str, Any],
    ) -> Direction:
        own = self.settings
        rows = Rows(local.shifts[:, None].float().cpu(), (t,))
        if own.scale == "sigma":
            rows = scaled_by_sigma(backbone, task, x_T, rows, own.look, own.window, mask)
        with torch.no_grad():
            h = backbone.encode_h(x_t, torch.full((1,), float(t), device=x_t.device)).h
        find = Find(rows=rows, longest=mean_length(h) / 2, probes=PROBES, **told)
        return made(backbone, task, find, finder=NAME, window=own.window, against=own.against)

    def _moves(
        self, backbone: Backbone, task: Task, local: Local, x_t: Tensor, t: int, told: dict[str, Any]
    ) -> Direction:
        own = self.settings
        config, source = {**told.pop("config"), "unit": UNIT}, told.pop("source")
        move = move_of(own.move, len(local.svd.S), own.gamma, own.iterations)
        return Direction.bind(
            backbone,
            finder=NAME,
            **in_x(backbone, move, local.svd.V, local.shifts, x_t, t, task.x_T[:PROBES]),
            steps=task.steps,
            strength=Strength(default=1, min=-2, max=2),
            provenance=Provenance(finder=NAME, config=config, source=source, data=task.data or None),
            **told,
        )

    def _decompose(
        self, backbone: Backbone, task: Task, x_t: Tensor, t: int, mask: Tensor | None, sample: int
    ) -> Local:
        own, look = self.settings, self.settings.look

        def report(done: int) -> None:
            if task.progress is not None:
                task.progress(sample * own.k + done, min(own.bases, len(task.x_T)) * own.k)

        one = build_map(look.map, backbone, x_t, t, mask, look.pool)
        return local_basis(one, own.k, look, task.seed, t, report)

    def _config(self, sample: int, t: int, svd: JacobianSVD) -> dict[str, object]:
        own = self.settings
        asked: dict[str, object] = {name: getattr(own, name) for name in ("k", "at", "space", "scale")}
        asked |= {"sample": sample, "t": t, **own.window.described(), **own.look.described()}
        return {**asked, **{name: getattr(svd, name) for name in FOUND}, **svd.counts}


def build(
    k: int = 8,
    at: int = 600,
    t_edit: int = 400,
    map: MapName = "encoder",
    mask: Path | None = None,
    pool: Pool = "none",
    null: int = 5,
    tol: float = 1e-3,
    bases: int = 1,
    t_start: int | None = None,
    scale: Scale = "none",
    against: Against = None,
    block: int | None = None,
    chunk: int | None = None,
    space: Space = "h",
    move: MoveName | None = None,
    gamma: float = 1.0,
    iterations: int = 16,
) -> JacobianFinder:
    """The finder of k directions at the sampling step nearest to timestep `at`, to a relative residual of `tol`.

    The directions found there shift h at all timesteps from `t_edit` up, or up to `t_start`; with scale="sigma" at each
    by as much as the map answers them there (`responses.scaled_by_sigma`). `map`, `mask` (a picture, white where it
    selects) and `pool` are those of `maps.build_map`; with a mask, pmp projects out the `null` leading directions of
    the rest of the picture. `bases` latents of the task get a basis of their own; what the directions in `against`
    (ids) do is taken out of it. `block` and `chunk` are those of `topk_jacobian_svd`.

    With `space` "x" the maps encoder and pmp give their right singular vectors, which move x_t once, at `at`: by
    `move`, which is x-space guidance (`gamma`, `iterations`) for the encoder and one-shot for pmp, as published.
    Raises UsageError where `bases` is not positive, `null` is negative, or a map, a move or an option has no such
    space, NotFoundError for a direction that is not there.
    """
    if bases < 1:
        raise UsageError(f"bases must be at least 1; {bases} was given")
    look = Look(map, mask, pool, null, tol, block, chunk)
    look.check()
    _check_space(space, map, move, scale, against)
    move = move or MOVES.get(map, "one-shot")
    move_of(move, 1, gamma, iterations)
    return JacobianFinder(
        Settings(look, k, at, Window(t_edit, t_start), bases, scale, others(against), space, move, gamma, iterations)
    )


def _check_space(space: str, map: str, move: str | None, scale: str, against: Against) -> None:
    if space not in ("h", "x"):
        raise UsageError(f"space must be h or x; {space!r} was given")
    if space == "x" and map not in MOVES:
        raise UsageError(f"the map {map!r} starts from h, so it has no directions of space 'x'; encoder and pmp have")
    if space == "x" and (scale != "none" or against):
        raise UsageError("scale and against are of directions that shift h; leave them away with space=x")
    if space == "h" and move is not None:
        raise UsageError(f"move={move} is for directions of space 'x'; add --set space=x")


def _scope(task: Task, sample: int) -> Scope:
    if task.x_0 is None:
        return Scope(kind="local", x_T_seed=task.seed)
    return Scope(kind="local", image_sha256=task.image_sha256[sample] if task.image_sha256 else None)


def _measurements(local: Local) -> tuple[Measurement, ...]:
    values: dict[str, Any] = {"sigma": local.svd.S, "residual": local.svd.rel_residual}
    values["angle_bound"] = local.svd.angle_bound
    if local.outside is not None:
        values["outside"] = local.outside
    k = len(local.svd.S)
    columns = [(name, 0, column) for name, column in values.items()] + [("sigma_tail", k, local.svd.tail[:k])]
    return tuple(
        Measurement(name=name, value=float(value), n=1, protocol=MEASURED[name], component=component)
        for name, first, column in columns
        for component, value in enumerate(column, start=first)
    )
