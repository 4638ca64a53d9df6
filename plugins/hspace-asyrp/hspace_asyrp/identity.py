"""Who is in the picture, as another encoder sees it: a term of the loss that holds on to it."""

from __future__ import annotations

import torch
from torch import Tensor

from hspace import Encoder
from hspace_asyrp.loss import identity_loss


class Identity:
    """What an encoder says of the unedited P_t (S, N, 3, H, W), asked once, a batch at a time."""

    def __init__(self, encoder: Encoder, P_t: Tensor, batch: int) -> None:
        self.encoder = encoder
        with torch.no_grad():
            said = torch.cat([encoder.images(some) for some in torch.split(P_t.flatten(0, 1), batch)])
        self.unedited = said.reshape(*P_t.shape[:2], -1)  # (S, N, D)

    def loss(self, images: Tensor, step: int | Tensor, batch: Tensor) -> Tensor:
        """The loss (B,) of edited P_t (B, 3, H, W) at a step of the window, or at one each."""
        return identity_loss(self.encoder.images(images), self.unedited[step, batch])
