"""The finder jacobian-svd: the directions that change a map of the backbone most, around each latent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Task
from hspace.building import build_head
from hspace.calibration import CHANGE, units
from hspace.errors import HspaceError, UsageError
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace.sampling import ddim_step, nearest
from hspace.schedule import alpha_at, generation
from hspace.storage import sha256
from hspace_jacobian.in_x import MOVES, MoveName, in_x, move_of
from hspace_jacobian.lanczos import Ritz
from hspace_jacobian.maps import SOURCES, JacobianMap, MapName, Pool, build_map, outside
from hspace_jacobian.masks import read_mask
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.svd import topk_jacobian_svd

Space = Literal["h", "x"]
NAME = "jacobian-svd"
SEQUENCE = "asyrp"
PROBES = 2
"""How many latents a direction is calibrated on."""
REACTS = {
    "encoder": "h does not react to x_t",
    "decoder": "eps does not react to h",
    "x0": "P_t does not react to h",
    "pmp": "P_t does not react to x_t",
}
FOUND = ("converged", "verified", "reason", "sigma_next", "rank", "engine", "precision")
MEASURED = {
    "sigma": "|d output| per |d input| of the map along the direction, at the latent and timestep it was found at",
    "residual": "|J'u - sigma v| / sigma",
    "angle_bound": "largest angle to the exact singular vector, radians",
    "outside": "length of the unit vector outside the leading directions of the rest of the picture",
}


@dataclass(frozen=True)
class Settings:
    """What `build` was called with."""

    k: int
    at: int
    t_edit: int
    map: MapName
    mask: Path | None
    pool: Pool
    null: int
    tol: float
    bases: int
    block: int | None
    chunk: int | None
    space: Space
    move: MoveName
    gamma: float
    iterations: int


@dataclass(frozen=True)
class Local:
    """What was found around one latent: unit shifts of h (k, Ch, Hh, Wh), and what is known of each."""

    shifts: Tensor
    svd: JacobianSVD
    outside: Tensor | None


class JacobianFinder(Finder):
    """The k leading singular directions of a map at timestep `at`, around the first latents of a task.

    In space "h" they shift h at all timesteps from `t_edit` up; in space "x" they move x_t at `at`. They are as long as
    makes strength 1 change the pictures of the task by `calibration.CHANGE`. Sources: `maps.SOURCES`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """A local basis for each of the first `bases` latents, largest sigma first.

        Raises UsageError where `at` is outside the schedule, the mask does not fit or the backbone is not in float32
        or float64, HspaceError where the map does not react to its input.
        """
        own = self.settings
        mask = None if own.mask is None else read_mask(own.mask, *task.x_T.shape[-2:])
        kind = "-".join(["local", *([own.map] if own.map != "encoder" else []), *(["x"] if own.space == "x" else [])])
        for sample, x_T in enumerate(torch.split(task.x_T[: own.bases], 1)):
            x_t, t = walk(backbone, x_T, task.steps, own.at)
            local = self._decompose(build_map(own.map, backbone, x_t, t, mask, own.pool), task, sample, t)
            yield Direction.bind(
                backbone,
                what=f"{kind}-t{t}" if own.bases == 1 else f"{kind}-t{t}-{sample}",
                finder=NAME,
                **self._placed(backbone, task, local, x_t, t),
                steps=task.steps,
                strength=Strength(default=1, min=-2, max=2),
                scope=_scope(task, sample),
                metrics=_measurements(local),
                provenance=Provenance(finder=NAME, config=self._config(sample, t, local.svd), source=SOURCES[own.map]),
            )

    def _decompose(self, map: JacobianMap, task: Task, sample: int, t: int) -> Local:
        def report(ritz: Ritz) -> None:
            if task.progress is not None:
                done = int((ritz.residual <= self.settings.tol * ritz.sigma)[: self.settings.k].sum())
                total = min(self.settings.bases, len(task.x_T)) * self.settings.k
                task.progress(sample * self.settings.k + done, total)

        svd = self._svd(map, self.settings.k, task, report)
        if not len(svd.S):
            raise HspaceError(f"{REACTS[map.name]} at t={t}: the Jacobian of the map {map.name!r} is zero")
        left = None
        if map.complement is not None and self.settings.null:
            rest = self._svd(map.complement, self.settings.null, task, None)
            V, left = outside(svd.V, rest.V)
            svd = replace(svd, V=V)
        return Local(map.to_h(svd), svd, left)

    def _svd(self, map: JacobianMap, k: int, task: Task, callback: Any) -> JacobianSVD:
        own, generator = self.settings, torch.Generator().manual_seed(task.seed)
        return topk_jacobian_svd(
            map.f, map.z, k, tol=own.tol, generator=generator, block=own.block, chunk=own.chunk, callback=callback
        )

    def _placed(self, backbone: Backbone, task: Task, local: Local, x_t: Tensor, t: int) -> dict[str, Any]:
        """What `Direction.bind` takes that depends on the space."""
        own, k = self.settings, len(local.svd.S)
        if own.space == "x":
            move = move_of(own.move, k, own.gamma, own.iterations)
            return in_x(backbone, move, local.svd.V, local.shifts, x_t, t, task.x_T[:PROBES])
        vectors = self._calibrated(backbone, task, local.shifts, x_t, t)
        config = {"timesteps": [t], "components": k}
        return {"head": "table", "config": config, "weights": {"vectors": vectors}, "t_edit": own.t_edit}

    def _calibrated(self, backbone: Backbone, task: Task, shifts: Tensor, x_t: Tensor, t: int) -> Tensor:
        """The shifts as a table (k, 1, Ch, Hh, Wh), each in the unit of strength; at most |h| / 2 long."""
        with torch.no_grad():
            longest = float(backbone.encode_h(x_t, torch.full((1,), float(t), device=x_t.device)).h.norm()) / 2
        vectors = shifts[:, None].float().cpu().contiguous()
        config = {"timesteps": [t], "components": len(vectors)}
        heads = [
            build_head(backbone, "table", {**config, "component": component}, {"vectors": vectors})
            for component in range(len(vectors))
        ]
        window = {"t_edit": self.settings.t_edit, "steps_found": task.steps}
        lengths = units(backbone, heads, task.x_T[:PROBES], **window, longest=longest)
        return vectors * torch.tensor(lengths).reshape(-1, 1, 1, 1, 1)

    def _config(self, sample: int, t: int, svd: JacobianSVD) -> dict[str, object]:
        own = self.settings
        asked: dict[str, object] = {name: getattr(own, name) for name in ("k", "at", "t_edit", "map", "tol")}
        asked |= {"sample": sample, "t": t, "space": own.space}
        if own.pool != "none":
            asked["pool"] = own.pool
        if own.mask is not None:
            asked |= {"mask": own.mask.name, "mask_sha256": sha256(own.mask)}
            asked |= {"null": own.null} if own.map == "pmp" else {}
        asked["unit"] = f"strength 1 changes pictures in [-1, 1] by {CHANGE} root mean square"
        found = {name: getattr(svd, name) for name in FOUND}
        return {**asked, **found, **svd.counts}


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
    block: int | None = None,
    chunk: int | None = None,
    space: Space = "h",
    move: MoveName | None = None,
    gamma: float = 1.0,
    iterations: int = 16,
) -> JacobianFinder:
    """The finder of k directions at the sampling step nearest to timestep `at`, to a relative residual of `tol`.

    The directions found there shift h at all timesteps from `t_edit` up. `map`, `mask` (a picture, white where it
    selects) and `pool` are those of `maps.build_map`; with a mask, pmp projects out the `null` leading directions of
    the rest of the picture. `bases` latents of the task get a basis of their own; `block` and `chunk` are those of
    `topk_jacobian_svd`.

    With `space` "x" the maps encoder and pmp give their right singular vectors, which move x_t once, at `at`: by
    `move`, which is x-space guidance (`gamma`, `iterations`) for the encoder and one-shot for pmp, as published.
    Raises UsageError where `bases` is not positive, `null` is negative, or a map or a move has no such space.
    """
    if bases < 1:
        raise UsageError(f"bases must be at least 1; {bases} was given")
    if null < 0:
        raise UsageError(f"null must be 0 or more; {null} was given")
    if mask is not None and map == "encoder":
        raise UsageError("the map 'encoder' has no picture to mask; decoder, x0 and pmp have one")
    if space == "x" and map not in MOVES:
        raise UsageError(f"the map {map!r} starts from h, so it has no directions of space 'x'; encoder and pmp have")
    if space == "h" and move is not None:
        raise UsageError(f"move={move} is for directions of space 'x'; add --set space=x")
    move = move or MOVES.get(map, "one-shot")
    move_of(move, 1, gamma, iterations)
    return JacobianFinder(
        Settings(k, at, t_edit, map, mask, pool, null, tol, bases, block, chunk, space, move, gamma, iterations)
    )


@torch.no_grad()
def walk(backbone: Backbone, x_T: Tensor, steps: int, at: int) -> tuple[Tensor, int]:
    """(x_t (B, C, H, W), t): x_T sampled down to the step whose timestep t is nearest to `at`.

    Raises UsageError where `at` is not a timestep of the schedule.
    """
    T = len(backbone.alphas_cumprod)
    if not 0 <= at < T:
        raise UsageError(f"at must be a timestep from 0 to {T - 1}; {at} was given")
    pairs = generation(SEQUENCE, steps, T)
    end = nearest(pairs, at)
    x_t = x_T
    for t, t_next in pairs:
        if t == end:
            break
        a_t, a_next = (alpha_at(backbone.alphas_cumprod, s) for s in (t, t_next))
        times = torch.full((len(x_t),), float(t), device=x_t.device)
        x_t = ddim_step(x_t, backbone(x_t, times), a_t, a_next)
    return x_t, end


def _scope(task: Task, sample: int) -> Scope:
    if task.x_0 is None:
        return Scope(kind="local", x_T_seed=task.seed)
    return Scope(kind="local", image_sha256=task.image_sha256[sample] if task.image_sha256 else None)


def _measurements(local: Local) -> tuple[Measurement, ...]:
    values: dict[str, Any] = {"sigma": local.svd.S, "residual": local.svd.rel_residual}
    values["angle_bound"] = local.svd.angle_bound
    if local.outside is not None:
        values["outside"] = local.outside
    return tuple(
        Measurement(name=name, value=float(value), n=1, protocol=MEASURED[name], component=component)
        for name, column in values.items()
        for component, value in enumerate(column)
    )
