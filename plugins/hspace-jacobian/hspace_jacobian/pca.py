"""The finder pca: the directions along which h varies most among latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Task
from hspace.errors import HspaceError, UsageError
from hspace.fingerprint import probe
from hspace.meta import Measurement
from hspace_jacobian.against import Against, others
from hspace_jacobian.making import Find, made, measured
from hspace_jacobian.rows import Rows, aligned
from hspace_jacobian.scatter import ROUNDING, Scatter
from hspace_jacobian.walking import Window, visits

NAME = "pca"
SOURCE = "Haas et al., arXiv:2303.11073"
Scale = Literal["sigma", "none"]


@dataclass(frozen=True)
class Seen:
    """What was seen of h along the trajectories, by falling timestep, and its mean length."""

    scatters: dict[int, Scatter]
    length: float


@dataclass(frozen=True)
class Components:
    """The leading components (k, R, m), and the standard deviation of h along each at each timestep (k, R)."""

    vectors: Tensor
    sigma: Tensor
    scatters: tuple[Scatter, ...]
    timesteps: tuple[int, ...]


@dataclass(frozen=True)
class PCAFinder(Finder):
    """The k principal components of h over the latents of a task, at every timestep of the window.

    Per timestep, the j-th direction is the stack of the j-th components; joint, there is one direction for all, of h at
    all timesteps, each about its own mean. Source: Haas et al., arXiv:2303.11073.
    """

    k: int
    window: Window
    joint: bool
    scale: Scale
    against: tuple[Direction, ...]

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One basis for all pictures, the component of the largest variance first.

        Raises UsageError for as few latents as there are components, and where nothing is left beside the directions
        of `against`; HspaceError where h does not vary.
        """
        if len(task.x_T) <= self.k:
            raise UsageError(
                f"{self.k} components need at least {self.k + 1} latents, and more to mean something; there are "
                f"{len(task.x_T)}. Give more (--samples), or ask for fewer (-k)."
            )
        seen = self._seen(backbone, task)
        found = _joint(seen.scatters, self.k) if self.joint else _per_timestep(seen.scatters, self.k)
        if not bool((found.sigma > ROUNDING * seen.length).any()):
            raise HspaceError(f"h does not vary among {len(task.x_T)} latents, so it has no principal components")
        vectors = found.vectors.reshape(*found.vectors.shape[:2], *probe(backbone).h_shape)
        if self.scale == "sigma":
            vectors = vectors * found.sigma[:, :, None, None, None]
        find = Find(
            what="joint" if self.joint else "components",
            rows=Rows(vectors.float(), found.timesteps),
            longest=seen.length / 2,
            metrics=tuple(self._measurements(found, len(task.x_T))),
            config=self._config(found, len(task.x_T)),
            source=SOURCE,
            unit="standard deviations of h along it, where it is longest" if self.scale == "sigma" else None,
        )
        yield made(backbone, task, find, finder=NAME, window=self.window, against=self.against)

    def _seen(self, backbone: Backbone, task: Task) -> Seen:
        scatters, square = {}, 0.0
        walked = visits(backbone, task.x_T, task.steps, self.window, task.progress)
        for t, states in groupby(walked, key=lambda visit: visit[0]):
            scatters[t] = Scatter()
            for _, state in states:
                rows = state.h.flatten(1)
                scatters[t].add(rows)
                square += float(rows.double().square().sum())
        return Seen(scatters, (square / len(task.x_T) / len(scatters)) ** 0.5)

    def _measurements(self, found: Components, n: int) -> Iterator[Measurement]:
        sigma, total = found.sigma, sum(one.variance for one in found.scatters)
        told = "standard deviation of h along it, singular value / sqrt(n - 1)"
        explained = "share of the variance of h"
        over = "" if len(found.timesteps) == 1 else ", root mean square over timesteps"
        yield from measured("sigma", sigma.square().mean(dim=1).sqrt().tolist(), n, told + over)
        yield from measured("explained", (sigma.square().sum(dim=1) / total).tolist(), n, explained)
        if self.joint:
            return
        for row, (t, scatter) in enumerate(zip(found.timesteps, found.scatters, strict=True)):
            yield from measured(f"sigma@t{t}", sigma[:, row].tolist(), n, told)
            yield from measured(f"explained@t{t}", (sigma[:, row].square() / scatter.variance).tolist(), n, explained)

    def _config(self, found: Components, n: int) -> dict[str, object]:
        asked: dict[str, object] = {name: getattr(self, name) for name in ("k", "joint", "scale")}
        total, dropped = (sum(getattr(one, name) for one in found.scatters) for name in ("total", "dropped"))
        return {**asked, **self.window.described(), "latents": n, "dropped": dropped / total}


def build(
    k: int = 8,
    t_edit: int = 400,
    t_start: int | None = None,
    joint: bool = False,
    scale: Scale = "sigma",
    against: Against = None,
) -> PCAFinder:
    """The finder of k principal components of h at the sampling steps from `t_edit` up, or up to `t_start`.

    There is a row for each of those timesteps, as long as h varies along it (or, with scale="none", all of one length),
    or one row for all of them with `joint`. What the directions in `against` (ids) do is taken out. Raises UsageError
    for k below 1, NotFoundError for a direction that is not there.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1; {k} was given")
    return PCAFinder(k, Window(t_edit, t_start), joint, scale, others(against))


def _per_timestep(scatters: dict[int, Scatter], k: int) -> Components:
    found = [one.components(k) for one in scatters.values()]
    k = min(len(sigma) for _, sigma in found)
    vectors = aligned(torch.stack([vectors[:k] for vectors, _ in found], dim=1))
    sigma = torch.stack([sigma[:k] for _, sigma in found], dim=1)
    return Components(vectors, sigma, tuple(scatters.values()), tuple(scatters))


def _joint(scatters: dict[int, Scatter], k: int) -> Components:
    together = Scatter()
    for one in scatters.values():
        together.join(one)
    vectors, sigma = together.components(k)
    return Components(aligned(vectors[:, None]), sigma[:, None], (together,), tuple(scatters)[:1])
