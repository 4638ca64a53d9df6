"""Maps with a known Jacobian."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace.unet import decode, encode

T_600 = torch.tensor([600.0])


@dataclass(frozen=True)
class Known:
    """A map, a point, its Jacobian J (m, n) there, and the exact singular triplets, all float64."""

    f: Callable[[Tensor], Tensor]
    z: Tensor
    J: Tensor
    U: Tensor  # (r, m)
    S: Tensor  # (r,)
    V: Tensor  # (r, n)


def known(f: Callable[[Tensor], Tensor], z: Tensor, J: Tensor) -> Known:
    U, S, Vh = torch.linalg.svd(J, full_matrices=False)
    return Known(f, z, J, U.mT, S, Vh)


def planted_map(spectrum: list[float], m: int = 120, n: int = 160) -> Known:
    generator = torch.Generator().manual_seed(7)
    U, V = (
        torch.linalg.qr(torch.randn(size, len(spectrum), generator=generator, dtype=torch.float64)).Q for size in (m, n)
    )
    S = torch.tensor(spectrum, dtype=torch.float64)
    J = U * S @ V.mT
    return Known(lambda z: z @ J.mT.to(z), torch.zeros(1, n, dtype=torch.float64), J, U.mT, S, V.mT)


@pytest.fixture
def planted() -> Callable[..., Known]:
    """A linear map with prescribed singular values."""
    return planted_map


@pytest.fixture(scope="session")
def unet() -> UNet2DModel:
    """A small U-Net with attention in the middle, as diffusers makes it: training mode, default attention."""
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).double()


class Reached(Exception):
    """Carries h out of a forward pass."""

    def __init__(self, h: Tensor) -> None:
        super().__init__()
        self.h = h


def early_exit(unet: UNet2DModel) -> Callable[[Tensor], Tensor]:
    """x_t -> h by a hook on the middle block that raises, so that nothing after it runs."""

    def stop(_: object, __: object, h: Tensor) -> None:
        raise Reached(h)

    def f(x_t: Tensor) -> Tensor:
        hook = unet.mid_block.register_forward_hook(stop)
        try:
            unet(x_t, 600)
        except Reached as reached:
            return reached.h
        finally:
            hook.remove()
        raise AssertionError("the middle block was not reached")

    return f


def decoder(unet: UNet2DModel, x_t: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """h -> eps with the skips held at x_t, and the h of x_t."""
    with torch.no_grad():
        h, temb, skips = encode(unet, x_t, T_600, None)

    def f(h: Tensor) -> Tensor:
        batch = len(h)
        held = tuple(skip.expand(batch, -1, -1, -1) for skip in skips)
        eps: Tensor = decode(unet, h, T_600, temb.expand(batch, -1), held)
        return eps

    return f, h


@pytest.fixture(scope="session")
def maps(unet: UNet2DModel) -> dict[str, Known]:
    """The encoder x_t -> h, the decoder h -> eps and x_t -> P_t of the U-Net, with their full Jacobians."""
    x_t = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    f_decoder, h = decoder(unet, x_t)
    a_t = 0.05

    def p_t(x_t: Tensor) -> Tensor:
        x_0: Tensor = (x_t - (1 - a_t) ** 0.5 * unet(x_t, 600).sample) / a_t**0.5
        return x_0

    points = {"encoder": (early_exit(unet), x_t), "decoder": (f_decoder, h), "x_t -> P_t": (p_t, x_t)}
    return {name: known(f, z, full_jacobian(f, z)) for name, (f, z) in points.items()}


def full_jacobian(f: Callable[[Tensor], Tensor], z: Tensor, chunk: int = 64) -> Tensor:
    """J (m, n) row by row, from reverse mode on replicated samples: none of the code under test."""
    Z = z.repeat(chunk, 1, 1, 1).requires_grad_()
    H = f(Z).flatten(1)
    eye = torch.eye(H.shape[1], dtype=z.dtype)
    rows = [
        torch.autograd.grad(H, Z, rows, retain_graph=True)[0].flatten(1) for rows in eye.reshape(-1, chunk, len(eye))
    ]
    return torch.cat(rows)
