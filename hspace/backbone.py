"""A backbone: a frozen denoiser that can be stopped at its bottleneck h and continued from it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hspace.cards import Card
from hspace.errors import UsageError


@dataclass(frozen=True)
class State:
    """A denoiser stopped at its bottleneck.

    x_t (B, C, H, W); t (B,) the training timestep, may be fractional; h (B, Ch, Hh, Wh) the output of the middle
    block; temb (B, D) the time embedding before its activation, None where the network has none; tape is private
    to the backbone that made the state.
    """

    x_t: Tensor
    t: Tensor
    h: Tensor
    temb: Tensor | None
    tape: Any = None


class Backbone(nn.Module, ABC):
    """A frozen denoiser in two halves, x_t -> h and h -> eps.

    `alphas_cumprod` is the (T,) float64 noise schedule. `card` says where the backbone came from, None for one
    built by hand. `condition` is what it was bound to. Whatever the network predicts (eps, v, a learned variance
    beside it), decode_h returns eps.
    """

    def __init__(self, alphas_cumprod: Tensor, card: Card | None = None) -> None:
        super().__init__()
        self.alphas_cumprod = torch.as_tensor(alphas_cumprod).detach().double().cpu()
        self.card = card
        self.condition: dict[str, Any] = {}

    @abstractmethod
    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        """The state at the bottleneck for x_t (B, C, H, W) at training timesteps t (B,)."""

    @abstractmethod
    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        """The predicted noise eps (B, C, H, W) of the state, with delta_h added to its h where given.

        delta_h is (B, Ch, Hh, Wh) or broadcasts to it. The state is left as it was and can be decoded again.
        """

    def bind(self, **cond: Any) -> "Backbone":
        """This backbone under a condition, e.g. `bind(label=207)`.

        Raises UsageError for a condition the backbone does not take; an unconditional one takes none.
        """
        if cond:
            raise UsageError(f"{type(self).__name__} takes no condition; bind() was given {', '.join(cond)}")
        return self

    def image_to_x0(self, image: Tensor) -> Tensor:
        """x_0 of an image (B, 3, H, W) in [-1, 1]: the image itself, or its latent."""
        return image

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        """The image (B, 3, H, W), nominally in [-1, 1], of x_0."""
        return x_0

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """eps (B, C, H, W): both halves, one after the other."""
        return self.decode_h(self.encode_h(x_t, t))


class Guided(Backbone):
    """Classifier-free guidance of two bound backbones: eps = eps_u + scale (eps_c - eps_u).

    Its h is that of the conditional one, and delta_h enters there only: a shift in both halves would be in eps_u as
    well as in eps_c, so the sum would take (scale - 1) parts of it back; in the conditional half alone it belongs to
    what guidance strengthens, and it is that half's h on which a direction is found and checked.
    Source: Ho and Salimans, Classifier-Free Diffusion Guidance, with the guided sum written from eps_u.
    """

    def __init__(self, conditional: Backbone, unconditional: Backbone, scale: float) -> None:
        super().__init__(conditional.alphas_cumprod, conditional.card)
        self.conditional = conditional
        self.unconditional = unconditional
        self.scale = scale
        self.condition = {**conditional.condition, "scale": scale}

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        state_c = self.conditional.encode_h(x_t, t)
        return State(x_t, t, state_c.h, state_c.temb, (state_c, self.unconditional.encode_h(x_t, t)))

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        state_c, state_u = state.tape
        eps_c = self.conditional.decode_h(state_c, delta_h)
        eps_u = self.unconditional.decode_h(state_u)
        return eps_u + self.scale * (eps_c - eps_u)

    def image_to_x0(self, image: Tensor) -> Tensor:
        return self.conditional.image_to_x0(image)

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        return self.conditional.x0_to_image(x_0)
