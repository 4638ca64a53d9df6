"""The unedited trajectories of the training pictures: run once, and read at every step of every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace import Backbone, Encoder
from hspace.sampling import ddim_step, predict_x0
from hspace.schedule import Pair, alpha_at


@dataclass(frozen=True)
class Unedited:
    """What pictures do when nobody edits them, at the timesteps of `pairs`, from noise to picture.

    P_t (S, N, 3, H, W) are the predicted pictures, `embeddings` (S, N, D) what the encoder says of them, and
    `final` (N, D) what it says of the finished pictures.
    """

    pairs: tuple[Pair, ...]
    P_t: Tensor
    embeddings: Tensor
    final: Tensor

    @property
    def timesteps(self) -> list[int]:
        """The timesteps, falling."""
        return [t for t, _ in self.pairs]

    def spread(self, delta_T: Tensor) -> float:
        """The standard deviation of the finished pictures along a text direction (D,)."""
        return float((self.final @ delta_T).std())

    def above(self, t_edit: int) -> Unedited:
        """The part of it in the window t >= t_edit."""
        n = sum(t >= t_edit for t in self.timesteps)
        return Unedited(self.pairs[:n], self.P_t[:n], self.embeddings[:n], self.final)


@torch.no_grad()
def unedited(
    backbone: Backbone,
    encoder: Encoder,
    x_T: Tensor,
    pairs: Sequence[Pair],
    batch: int,
    callback: Callable[[int, int], None],
) -> Unedited:
    """The unedited trajectories from x_T (N, C, H, W), a batch at a time; one network call a picture and step."""
    parts = []
    for some in torch.split(x_T, batch):
        parts.append(_walk(backbone, encoder, some, pairs))
        callback(sum(part[0].shape[1] for part in parts), len(x_T))
    P_t, embeddings = (torch.cat([part[i] for part in parts], dim=1) for i in (0, 1))
    return Unedited(tuple(pairs), P_t, embeddings, torch.cat([part[2] for part in parts]))


def _walk(backbone: Backbone, encoder: Encoder, x_t: Tensor, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    pictures, embeddings = [], []
    for t, t_next in pairs:
        a_t, a_next = alpha_at(backbone.alphas_cumprod, t), alpha_at(backbone.alphas_cumprod, t_next)
        eps = backbone(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
        pictures.append(backbone.x0_to_image(predict_x0(x_t, eps, a_t)))
        embeddings.append(encoder.images(pictures[-1]))
        x_t = ddim_step(x_t, eps, a_t, a_next)
    return torch.stack(pictures), torch.stack(embeddings), encoder.images(backbone.x0_to_image(x_t))
