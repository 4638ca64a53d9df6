"""A toy backbone whose answers are known: linear, with singular vectors planted in it."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from hspace.backbone import Backbone, State
from hspace.cards import Card
from hspace.schedule import alphas_cumprod, interpolate

TEMB_DIM = 16


class PlantedBackbone(Backbone):
    """A linear denoiser, h = E x_t and eps = W h, that is exact for pictures of independent standard normal pixels.

    E = sum_i S[i] U[i] V[i]' has these singular triplets by construction, at every x_t and t: `U` (r, Ch, Hh, Wh)
    and `V` (r, C, H, W) orthonormal, `S` (r,) decreasing with well separated leading values, all float64. W is
    sqrt(1 - alphas_cumprod[t]) times the pseudo-inverse of E; with no fewer numbers in h than in x_t, eps is
    therefore sqrt(1 - alphas_cumprod[t]) x_t, and every loop over it has a closed form.
    """

    def __init__(
        self,
        x_shape: Sequence[int] = (3, 8, 8),
        h_shape: Sequence[int] = (32, 4, 4),
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        facts = {"x_shape": tuple(x_shape), "h_shape": tuple(h_shape), "h_site": "mid.out"}
        super().__init__(alphas_cumprod(), Card("planted", "hspace.testing:PlantedBackbone", "a toy", facts=facts))
        m, n = prod(h_shape), prod(x_shape)
        rank = min(m, n)
        generator = torch.Generator().manual_seed(seed)
        U = torch.linalg.qr(torch.randn(m, rank, dtype=torch.float64, generator=generator))[0]
        V = torch.linalg.qr(torch.randn(n, rank, dtype=torch.float64, generator=generator))[0]
        self.U: Tensor = U.T.reshape(rank, *h_shape)
        self.V: Tensor = V.T.reshape(rank, *x_shape)
        self.S: Tensor = 1 + 7 * 0.8 ** torch.arange(rank, dtype=torch.float64)
        self.E = nn.Parameter((U * self.S @ V.T).to(dtype), requires_grad=False)  # (m, n)
        self.W = nn.Parameter((V / self.S @ U.T).to(dtype), requires_grad=False)  # (n, m)
        self._h_shape = tuple(h_shape)

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        h = (x_t.flatten(1) @ self.E.T).reshape(-1, *self._h_shape)
        frequencies = torch.logspace(0, -4, TEMB_DIM // 2, dtype=x_t.dtype, device=x_t.device)
        angles = t.to(x_t.dtype)[:, None] * frequencies
        return State(x_t, t, h, torch.cat([angles.sin(), angles.cos()], dim=1))

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        h = state.h if delta_h is None else state.h + delta_h
        sigma = (1 - interpolate(self.alphas_cumprod, state.t)).sqrt().to(h.dtype).reshape(-1, 1, 1, 1)
        return sigma * (h.flatten(1) @ self.W.T).reshape(state.x_t.shape)
