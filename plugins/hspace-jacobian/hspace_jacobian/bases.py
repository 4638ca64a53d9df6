"""The local bases around many latents, at one timestep of sampling or at several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hspace import Backbone, Task
from hspace_jacobian.local import Local, Look, local_basis
from hspace_jacobian.making import mean_length
from hspace_jacobian.maps import build_map
from hspace_jacobian.walking import Window, visits


@dataclass
class Bases:
    """The local bases by timestep, and the lengths of the h that they were found around."""

    locals: dict[int, list[Local]]
    h: list[float] = field(default_factory=list)

    def all(self) -> list[Local]:
        """Those of all timesteps."""
        return [local for some in self.locals.values() for local in some]

    @property
    def longest(self) -> float:
        """How long a shift of h may be: half the mean |h|."""
        return sum(self.h) / len(self.h) / 2

    def described(self) -> dict[str, object]:
        """How exact they all are, and what they took."""
        some = [one.svd for one in self.all()]
        return {
            "converged": all(svd.converged for svd in some),
            "verified": all(svd.verified for svd in some),
            "residual": max(float(svd.rel_residual.max()) for svd in some),
            "engine": ", ".join(sorted({svd.engine for svd in some})),
            "products": sum(svd.products for svd in some),
        }


def local_bases(
    backbone: Backbone, task: Task, look: Look, k: int, timesteps: Sequence[int], mask: Tensor | None
) -> Bases:
    """The k leading triplets around each latent of the task, at each of the timesteps, which fall.

    Raises as `local_basis` does.
    """
    bases = Bases({t: [] for t in timesteps})
    done, total = 0, len(task.x_T) * len(timesteps)
    for x_T in torch.split(task.x_T, 1):
        for t, state in visits(backbone, x_T, task.steps, Window(timesteps[-1])):
            if t not in bases.locals:
                continue
            one = build_map(look.map, backbone, state.x_t, t, mask, look.pool)
            local = local_basis(one, k, look, task.seed, t)
            bases.locals[t].append(replace(local, shifts=local.shifts.cpu()))
            bases.h.append(mean_length(state.h))
            done += 1
            if task.progress is not None:
                task.progress(done, total)
    return bases
