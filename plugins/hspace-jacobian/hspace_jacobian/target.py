"""The sample that a direction is carried to, and the direction of h that is carried."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone, Direction, Task, registry
from hspace.discovery import pictures_of, with_latents
from hspace.errors import HspaceError, RefusedError, UsageError
from hspace.images import save_picture
from hspace.meta import Scope
from hspace.sampling import Callback
from hspace.sheets import PREVIEW, draw_sheet
from hspace_jacobian.walking import walk


@dataclass(frozen=True)
class Target:
    """A sample: its latent x_T (1, C, H, W), its x_t at the step t of sampling in so many steps, and its name."""

    x_T: Tensor
    x_t: Tensor
    t: int
    steps: int
    scope: Scope
    label: str


def target_of(
    backbone: Backbone, picture: Path | None, seed: int | None, *, at: int, steps: int, callback: Callback
) -> Target:
    """The sample of a picture, inverted, or the one that a seed draws, at the step nearest to the timestep `at`.

    Raises UsageError unless one of the two is given, and as `pictures_of_files` and `walk` do.
    """
    if (picture is None) == (seed is None):
        raise UsageError("say which sample to carry it to: --to PICTURE, or --seed N for the one that a seed draws")
    pictures = pictures_of(backbone, [] if picture is None else [picture], None, None, 1, seed or 0)
    task, _ = with_latents(Task(torch.empty(0), steps, seed or 0), backbone, pictures, 1, callback)
    x_t, t = walk(backbone, task.x_T, steps, at)
    if picture is None:
        return Target(task.x_T, x_t, t, steps, Scope(kind="local", x_T_seed=seed), f"seed{seed}".replace("-", "_"))
    (digest,) = task.image_sha256
    return Target(task.x_T, x_t, t, steps, Scope(kind="local", image_sha256=digest), digest[:8])


def found_at(direction: Direction) -> int:
    """The timestep that a direction was found at, or the lower end of its window where it does not say."""
    t = direction.meta.provenance.config.get("t")
    return t if isinstance(t, int) else direction.meta.t_edit


@torch.no_grad()
def shift_of(direction: Direction, backbone: Backbone, target: Target) -> Tensor:
    """The unit direction u (Ch, Hh, Wh) of h that a direction stands for.

    That is delta_h at the sample for one of space "h", the shift of h that is kept beside one of space "x". Raises as
    `Direction.head` and `Direction.move` do, RefusedError where one of space "x" keeps none, and HspaceError for a
    delta_h of 0.
    """
    if direction.meta.space == "h":
        times = torch.full((1,), float(target.t), device=target.x_t.device)
        u = direction.head(backbone)(backbone.encode_h(target.x_t, times))[0]
    else:
        direction.move(backbone)
        kept = direction.weights.get("shifts")
        shape = (direction.meta.components, *direction.meta.backbone.h_shape)
        if kept is None or kept.shape != shape:
            raise RefusedError(f"{direction.id!r} does not keep what it does to h, so it cannot be carried elsewhere")
        u = kept[direction.component or 0].to(target.x_t)
    if not bool(u.any()):
        raise HspaceError(f"{direction.id!r} does not shift h at t = {target.t}, so there is nothing to carry")
    return normalize(u.flatten(), dim=0).reshape(u.shape)


def named(direction: Direction, target: Target, name: str | None) -> str:
    """What the carried direction is called: `name`, or after the direction and the sample.

    Raises UsageError for a name that is none.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    what = direction.meta.id.partition("/")[2].rpartition(".")[0]
    part = "" if direction.component is None else f"-{direction.component}"
    return name or f"{what}{part}-to-{target.label}"


def stored(
    backbone: Backbone, direction: Direction, target: Target, out: Path, callback: Callback
) -> tuple[Direction, Path, Path]:
    """The direction as stored, its folder, and its sheet in `out`, drawn on the sample."""
    provenance = direction.meta.provenance.model_copy(
        update={"hspace": version("hspace"), "date": datetime.now(UTC).date().isoformat()}
    )
    signed = replace(direction, meta=direction.meta.model_copy(update={"provenance": provenance}))
    entry = registry.add(signed)
    sheet = draw_sheet(backbone, [signed], target.x_T, callback)
    path = out / f"{signed.meta.id.replace('/', '.')}.png"
    for place in (entry.folder / PREVIEW, path):
        save_picture(place, sheet)
    return Direction.load(entry.folder), entry.folder, path
