"""The finder jacobian-global: the directions that the local bases of many latents have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from hspace import Backbone, Direction, Finder, Task
from hspace.errors import UsageError
from hspace.meta import Measurement
from hspace_jacobian.against import Against, others
from hspace_jacobian.bases import Bases, local_bases
from hspace_jacobian.local import Look
from hspace_jacobian.making import Find, made, measured
from hspace_jacobian.maps import SOURCES, MapName, Pool
from hspace_jacobian.masks import read_mask
from hspace_jacobian.mean_basis import MeanBasis, Weights, mean_basis
from hspace_jacobian.responses import Scale, scaled_by_sigma
from hspace_jacobian.rows import Rows, aligned
from hspace_jacobian.walking import Window, nearest_step

NAME = "jacobian-global"


@dataclass(frozen=True)
class Settings:
    """What `build` was called with."""

    look: Look
    k: int
    each: int
    at: tuple[int, ...]
    window: Window
    joint: bool
    weights: Weights
    scale: Scale
    against: tuple[Direction, ...]


class GlobalFinder(Finder):
    """The k leading directions of the mean metric in h over the latents of a task, and over timesteps where asked.

    Sources: the maps', `maps.SOURCES`; the mean is the closed form of `mean_basis`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One basis for all pictures: a row per timestep of `at`, or one row where there is one, or they are joint.

        Raises as `JacobianFinder.find` does.
        """
        own, look = self.settings, self.settings.look
        mask = None if look.mask is None else read_mask(look.mask, *task.x_T.shape[-2:])
        timesteps = sorted({nearest_step(backbone, task.steps, at) for at in own.at}, reverse=True)
        bases = local_bases(backbone, task, look, own.each, timesteps, mask)
        groups = [bases.all()] if own.joint else list(bases.locals.values())
        means = [mean_basis([one.shifts for one in some], [one.svd.S for one in some], own.weights) for some in groups]
        k = min(own.k, *(len(mean.sigma) for mean in means))
        vectors = torch.stack([mean.directions[:k] for mean in means], dim=1)
        shape = bases.all()[0].shifts.shape[1:]
        rows = Rows(aligned(vectors).reshape(*vectors.shape[:2], *shape).float(), tuple(timesteps[: len(means)]))
        if own.scale == "sigma":
            rows = scaled_by_sigma(backbone, task, task.x_T, rows, look, own.window, mask)
        kind = "global" if look.map == "encoder" else f"global-{look.map}"
        find = Find(
            what=f"{kind}-t{timesteps[0]}" if len(timesteps) == 1 else kind,
            rows=rows,
            longest=bases.longest,
            metrics=tuple(self._measurements(means, k, len(groups[0]))),
            config=self._config(timesteps, bases, len(task.x_T)),
            source=SOURCES[look.map],
        )
        yield made(backbone, task, find, finder=NAME, window=own.window, against=own.against)

    def _measurements(self, means: list[MeanBasis], k: int, n: int) -> list[Measurement]:
        square = torch.stack([mean.sigma[:k].square() for mean in means]).mean(dim=0)
        share = torch.stack([mean.share[:k] for mean in means]).mean(dim=0)
        of = f"the {self.settings.each} leading triplets of each local basis"
        if self.settings.weights == "sigma":
            told = f"root mean square over local bases of |d output| per |d input| along the direction, by {of}"
            return [
                *measured("sigma", square.sqrt().tolist(), n, told),
                *measured("share", share.tolist(), n, f"share of the mean metric's trace, of {of}"),
            ]
        told = f"mean squared cosine with the span of {of}; 1 where all have it"
        return measured("overlap", square.tolist(), n, told)

    def _config(self, timesteps: list[int], bases: Bases, n: int) -> dict[str, object]:
        own = self.settings
        asked: dict[str, object] = {name: getattr(own, name) for name in ("k", "each", "joint", "weights", "scale")}
        asked |= {"at": list(own.at), "t": timesteps, "latents": n, **own.window.described(), **own.look.described()}
        return {**asked, **bases.described()}


def build(
    k: int = 8,
    at: int | list[int] = 600,
    t_edit: int = 400,
    map: MapName = "encoder",
    mask: Path | None = None,
    pool: Pool = "none",
    null: int = 5,
    tol: float = 1e-3,
    each: int | None = None,
    joint: bool = False,
    weights: Weights = "sigma",
    t_start: int | None = None,
    scale: Scale = "none",
    against: Against = None,
    block: int | None = None,
    chunk: int | None = None,
) -> GlobalFinder:
    """The finder of k directions for all pictures, from local bases at the sampling steps nearest to `at`.

    Several timesteps (`at=[800, 600]`) make a row each, or one row for their common mean where `joint` is set. `each`
    is how many triplets of every local basis enter the mean, by default twice as many as k; with weights="equal" they
    count alike, whatever their sigma. The rest is as in jacobian-svd. Raises UsageError where there is no timestep,
    `each` is less than k or `null` is negative, NotFoundError for a direction in `against` that is not there.
    """
    timesteps = (at,) if isinstance(at, int) else tuple(at)
    if not timesteps:
        raise UsageError("at needs at least one timestep; at=[] was given")
    if each is not None and each < k:
        raise UsageError(f"each must be at least k={k}, so that there are k directions to find; {each} was given")
    look = Look(map, mask, pool, null, tol, block, chunk)
    look.check()
    return GlobalFinder(
        Settings(look, k, each or 2 * k, timesteps, Window(t_edit, t_start), joint, weights, scale, others(against))
    )
