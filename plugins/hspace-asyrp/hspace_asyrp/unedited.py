"""The unedited trajectories of the training pictures: run once, and read at every step of every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace import Backbone, Encoder
from hspace.sampling import ddim_step, predict_x0
from hspace.schedule import Pair, alpha_at
from hspace_asyrp.processes import Processes


@dataclass(frozen=True)
class Unedited:
    """What pictures do when nobody edits them, at the timesteps of `pairs`, from noise to picture.

    P_t (S, N, 3, H, W) are the predicted pictures, `embeddings` (S, N, D) what the encoder says of them, and
    `final` (N, D) what it says of the finished pictures. `x_t` (S, N, C, H, W) are the trajectories themselves, where
    they were kept.
    """

    pairs: tuple[Pair, ...]
    P_t: Tensor
    embeddings: Tensor
    final: Tensor
    x_t: Tensor | None = None

    @property
    def timesteps(self) -> list[int]:
        """The timesteps, falling."""
        return [t for t, _ in self.pairs]

    def spread(self, delta_T: Tensor) -> float:
        """The standard deviation of the finished pictures along a text direction (D,)."""
        return float((self.final @ delta_T).std())

    def within(self, t_edit: int, t_start: int | None = None) -> Unedited:
        """The part of it in the window t_edit <= t <= t_start."""
        first = 0 if t_start is None else sum(t > t_start for t in self.timesteps)
        part = slice(first, sum(t >= t_edit for t in self.timesteps))
        x_t = None if self.x_t is None else self.x_t[part]
        return Unedited(self.pairs[part], self.P_t[part], self.embeddings[part], self.final, x_t)


@torch.no_grad()
def unedited(
    backbone: Backbone,
    encoder: Encoder,
    x_T: Tensor,
    pairs: Sequence[Pair],
    batch: int,
    callback: Callable[[int, int], None],
    processes: Processes = Processes(),  # noqa: B008 - it is frozen
    keep_x_t: bool = False,
) -> Unedited:
    """The unedited trajectories from x_T (N, C, H, W), a batch at a time; one network call a picture and step.

    Each of the processes walks its share of the pictures, and all get the whole. x_t is kept where asked for: it takes
    as much memory as P_t.
    """
    mine, share = processes.share(torch.arange(len(x_T)))
    parts = []
    for some in torch.split(x_T[mine], batch):
        parts.append(_walk(backbone, encoder, some, pairs)[: 4 if keep_x_t else 3])
        callback(sum(part[0].shape[1] for part in parts), len(mine))
    joined = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    places = mine if share else mine[:0]
    P_t, embeddings, final, *x_t = (processes.whole(one, places, len(x_T)) for one in joined)
    return Unedited(tuple(pairs), P_t, embeddings, final[0], *x_t)


@torch.no_grad()
def pictures(backbone: Backbone, encoder: Encoder, x_0: Tensor, batch: int) -> Tensor:
    """What the encoder says of pictures x_0 (N, C, H, W): (N, D)."""
    return torch.cat([encoder.images(backbone.x0_to_image(some)) for some in torch.split(x_0, batch)])


def _walk(backbone: Backbone, encoder: Encoder, x_t: Tensor, pairs: Sequence[Pair]) -> tuple[Tensor, ...]:
    pictures, embeddings, walked = [], [], []
    for t, t_next in pairs:
        a_t, a_next = alpha_at(backbone.alphas_cumprod, t), alpha_at(backbone.alphas_cumprod, t_next)
        eps = backbone(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
        pictures.append(backbone.x0_to_image(predict_x0(x_t, eps, a_t)))
        embeddings.append(encoder.images(pictures[-1]))
        walked.append(x_t)
        x_t = ddim_step(x_t, eps, a_t, a_next)
    final = encoder.images(backbone.x0_to_image(x_t))
    return torch.stack(pictures), torch.stack(embeddings), final[None], torch.stack(walked)
