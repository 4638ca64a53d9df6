"""The released training loop of Asyrp, in our words and on our backbones: what it computes, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hspace import Backbone, Encoder, Head
from hspace.sampling import ddim_step, predict_x0, sample
from hspace.schedule import Pair, alpha_at
from hspace_asyrp.loss import Goal, official_loss
from hspace_asyrp.planning import RATES, weights


class Original:
    """One picture at a time through the window, edited and unedited side by side; SGD after every timestep.

    The unedited trajectory is run again in every epoch, and the encoder looks at x_0 again at every timestep: nothing
    is kept. `x_0` is what the picture is before the training starts, by as many steps as there are.
    Source: Kwon et al., Asyrp, the released code; docs/fidelity.md says where ours departs from it.
    """

    def __init__(
        self, backbone: Backbone, encoder: Encoder, head: Head, steps: int, pairs: Sequence[Pair], goal: Goal
    ) -> None:
        self.backbone, self.encoder, self.head = backbone, encoder, head.train().requires_grad_(True)
        self.steps, self.pairs, self.goal = steps, pairs, goal
        self.terms = weights("official", 0.0, 0.0, match=None, clip=None, recon=None, effect=None)
        self.optimizer = torch.optim.SGD(head.parameters(), lr=RATES["official"])

    def x_0(self, x_T: Tensor) -> Tensor:
        """The picture (1, 3, H, W) of a latent (1, C, H, W)."""
        return self.backbone.x0_to_image(sample(self.backbone, x_T, steps=self.steps))

    def run_picture(self, x_T: Tensor, x_0: Tensor) -> None:
        """A picture's way through the window."""
        x_edit = x_org = x_T
        for t, t_next in self.pairs:
            a_t, a_next = (alpha_at(self.backbone.alphas_cumprod, one) for one in (t, t_next))
            at = torch.full((1,), float(t))
            self.optimizer.zero_grad()
            with torch.no_grad():
                state = self.backbone.encode_h(x_edit, at)
                eps = self.backbone.decode_h(state)
                eps_org = self.backbone(x_org, at)
                original = self.encoder.images(x_0)
            eps_edit = self.backbone.decode_h(state, self.head(state))
            image = self.backbone.x0_to_image(predict_x0(x_edit, eps_edit, a_t))
            unedited = self.backbone.x0_to_image(predict_x0(x_org, eps_org, a_t))
            pixels = (image - unedited).abs().mean(dim=(1, 2, 3))
            official_loss(self.encoder.images(image), original, pixels, self.goal, self.terms).mean().backward()
            self.optimizer.step()
            x_edit = ddim_step(x_edit, eps, a_t, a_next, eps_edit=eps_edit.detach())
            x_org = ddim_step(x_org, eps_org, a_t, a_next)
