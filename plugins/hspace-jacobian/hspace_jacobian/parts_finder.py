"""The finder jacobian-parts: what latents have in common, turned so that each direction moves a part of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Task
from hspace.building import build_head
from hspace.calibration import units
from hspace.errors import UsageError
from hspace_jacobian.against import Against, others
from hspace_jacobian.bases import Bases, local_bases
from hspace_jacobian.local import Look
from hspace_jacobian.making import Find, made, measured
from hspace_jacobian.maps import SOURCES, MapName, Pool
from hspace_jacobian.masks import read_mask
from hspace_jacobian.mean_basis import MeanBasis, mean_basis
from hspace_jacobian.rotation import picture_changes, spread_of, varimax
from hspace_jacobian.rows import Rows, aligned
from hspace_jacobian.walking import Window, nearest_step

NAME = "jacobian-parts"
PROBES = 2
"""How many latents a direction is calibrated on."""
PICTURES = 4
"""How many pictures say which part of them a direction moves."""


@dataclass(frozen=True)
class Settings:
    """What `build` was called with."""

    look: Look
    k: int
    of: int
    at: int
    window: Window
    against: tuple[Direction, ...]


@dataclass(frozen=True)
class Parts:
    """Unit shifts of h (k, 1, Ch, Hh, Wh), their sigma (k,), and over how much of the pictures each is spread (k,)."""

    shifts: Tensor
    sigma: Tensor
    spread: Tensor


class PartsFinder(Finder):
    """The `of` leading directions of jacobian-global, turned by varimax of what they do to pictures; the k strongest.

    Singular vectors are ordered by how much they do and mix whatever is as strong; within what they span, this asks for
    directions that each do much to few pixels and little to the rest.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One basis for all pictures, those first that change pictures most. Raises as `GlobalFinder.find` does."""
        own, look = self.settings, self.settings.look
        mask = None if look.mask is None else read_mask(look.mask, *task.x_T.shape[-2:])
        t = nearest_step(backbone, task.steps, own.at)
        bases = local_bases(backbone, task, look, own.of, (t,), mask)
        locals_ = bases.all()
        mean = mean_basis([one.shifts for one in locals_], [one.svd.S for one in locals_], "sigma")
        parts = self._turned(backbone, task, mean, bases, t, locals_[0].shifts.shape[1:])
        n = len(task.x_T)
        told = f"root mean square over local bases of |d output| per |d input| along it, by {own.of} triplets of each"
        of = "share of the pictures' values over which the change is spread, (sum r^2)^2 / (n sum r^4)"
        find = Find(
            what=f"parts-t{t}" if look.map == "encoder" else f"parts-{look.map}-t{t}",
            rows=Rows(parts.shifts.float(), (t,)),
            longest=bases.longest,
            metrics=(
                *measured("sigma", parts.sigma.tolist(), n, told),
                *measured("spread", parts.spread.tolist(), min(PICTURES, n), of),
            ),
            config={
                **{name: getattr(own, name) for name in ("k", "of", "at")},
                **{"t": t, "latents": n, **own.window.described(), **look.described(), **bases.described()},
            },
            source=SOURCES[look.map],
            probes=PROBES,
        )
        yield made(backbone, task, find, finder=NAME, window=own.window, against=own.against)

    def _turned(
        self, backbone: Backbone, task: Task, mean: MeanBasis, bases: Bases, t: int, h_shape: torch.Size
    ) -> Parts:
        own = self.settings
        U, sigma = mean.directions[: own.of], mean.sigma[: own.of]
        shifts = U.reshape(-1, 1, *h_shape)
        length = self._length(backbone, task, shifts, bases.longest, t)
        changes = picture_changes(
            backbone, shifts, (t,), task.x_T[:PICTURES], length, own.window, task.steps, task.progress
        )
        Q = varimax(changes.mT)
        turned = Q.mT @ changes
        strongest = turned.square().sum(dim=1).argsort(descending=True)[: own.k]
        along = (Q.square().mT @ sigma.square()).sqrt()  # v' G v for v = Q'U, as G = U' diag(sigma^2) U on their span
        rows = aligned((Q.mT @ U)[strongest][:, None]).reshape(-1, 1, *h_shape)
        return Parts(rows, along[strongest], spread_of(turned[strongest]))

    def _length(self, backbone: Backbone, task: Task, shifts: Tensor, longest: float, t: int) -> float:
        """How long all are to be looked at: the median of what the first, the middle and the last need to be seen."""
        config, some = {"timesteps": [t]}, shifts[[0, len(shifts) // 2, -1]].float()
        heads = [build_head(backbone, "table", config, {"vectors": one[None]}) for one in some]
        window = self.settings.window
        lengths = units(
            backbone, heads, task.x_T[:PROBES], t_edit=window.t_edit, t_start=window.t_start,
            steps_found=task.steps, longest=longest,
        )  # fmt: skip
        return sorted(lengths)[1]


def build(
    k: int = 10,
    of: int | None = None,
    at: int = 600,
    t_edit: int = 400,
    map: MapName = "encoder",
    mask: Path | None = None,
    pool: Pool = "none",
    null: int = 5,
    tol: float = 1e-3,
    t_start: int | None = None,
    against: Against = None,
    block: int | None = None,
    chunk: int | None = None,
) -> PartsFinder:
    """The finder of k directions that each move a part of the picture, within what the `of` leading ones span.

    `of` is 8/5 of k where it is not given. The rest is as in jacobian-global. Raises UsageError where `of` is less than
    k or `null` is negative, NotFoundError for a direction in `against` that is not there.
    """
    of = -(-8 * k // 5) if of is None else of
    if of < k:
        raise UsageError(f"of must be at least k={k}, so that there are k directions to turn; {of} was given")
    look = Look(map, mask, pool, null, tol, block, chunk)
    look.check()
    return PartsFinder(Settings(look, k, of, at, Window(t_edit, t_start), others(against)))
