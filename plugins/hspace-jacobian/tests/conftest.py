"""Maps with a known Jacobian."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from diffusers import DiTTransformer2DModel, UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor

from hspace.unet import SplitUNet
from hspace_jacobian.maps import build_map

T = 600


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


def small_unet(**options: Any) -> UNet2DModel:
    """A small U-Net with attention in the middle."""
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        **options,
    )


@pytest.fixture(scope="session")
def unet() -> UNet2DModel:
    """A small U-Net in float64, as diffusers makes it: with gradients, in training mode, with default attention."""
    return small_unet().double()


def point(size: int = 16, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, channels, size, size, generator=generator, dtype=torch.float64)


MASK = torch.zeros(1, 1, 16, 16)
MASK[..., 4:10, 5:12] = 1


def backbone_of(unet: UNet2DModel) -> SplitUNet:
    """The U-Net as a backbone, left in training mode and with gradients, as a user may have it."""
    backbone = SplitUNet(unet, torch.linspace(0.999, 0.01, 1000, dtype=torch.float64))
    unet.train().requires_grad_(True)
    return backbone


def classic(model: torch.nn.Module) -> torch.nn.Module:
    """The model with attention written out, as diffusers had it before fused kernels."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())
    return model


def conditional_unet(*, linear: bool) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=12,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        use_linear_projection=linear,
    )


def dit() -> DiTTransformer2DModel:
    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=10,
    ).eval()  # it drops labels in training
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # its modulation starts at zero
    return model


def networks(dtype: torch.dtype) -> dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Networks of every kind, each as a map and its point."""
    z, text = point(8, 4).to(dtype), torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(2)).to(dtype)
    made: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {}
    for name, options in {
        "unet": {},
        "adm": {"downsample_type": "resnet", "upsample_type": "resnet", "resnet_time_scale_shift": "scale_shift"},
    }.items():
        unet = small_unet(**options).to(dtype)
        made[name] = (lambda x, unet=unet: unet(x, T).sample), point().to(dtype)
    old = classic(small_unet()).to(dtype)
    made["classic attention"] = (lambda x: old(x, T).sample), point().to(dtype)
    for linear in (False, True):
        cond = conditional_unet(linear=linear).to(dtype)
        name = "linear" if linear else "convolutional"
        made[f"cross attention, {name}"] = (
            lambda x, cond=cond: cond(x, T, text.expand(len(x), -1, -1)).sample,
            z,
        )
    made["text"] = (lambda c: cond(z.expand(len(c), -1, -1, -1), T, c).sample), text
    transformer, label = dit().to(dtype), torch.zeros(1, dtype=torch.long)
    made["dit"] = (lambda x: transformer(x, torch.full((len(x),), T), label.expand(len(x))).sample), z
    return made


@pytest.fixture(scope="session")
def of_kind() -> Callable[[str, torch.dtype], tuple[Callable[[Tensor], Tensor], Tensor]]:
    """A network by its kind and precision."""
    made: dict[torch.dtype, dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]] = {}

    def get(name: str, dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        if dtype not in made:
            made[dtype] = networks(dtype)
        return made[dtype][name]

    return get


@pytest.fixture(scope="session")
def maps(unet: UNet2DModel) -> dict[str, Known]:
    """Every map of the U-Net with its full Jacobian; that of a restricted map follows from that of the whole."""
    backbone, x_t = backbone_of(unet), point()
    a = float(backbone.alphas_cumprod[T])
    inside = MASK.expand(1, 3, 16, 16).reshape(-1, 1).double()
    full = {
        name: full_jacobian(one.f, one.z)
        for name in ("encoder", "decoder", "pmp")
        for one in [build_map(name, backbone, x_t, T)]
    }
    jacobians = {
        ("encoder", "none"): full["encoder"],
        ("encoder", "sum"): full["encoder"].reshape(32, 64, -1).sum(1),
        ("decoder", "none"): full["decoder"],
        ("decoder", "mask"): full["decoder"] * inside,
        ("x0", "none"): -((1 - a) ** 0.5) / a**0.5 * full["decoder"],
        ("pmp", "none"): full["pmp"],
        ("pmp", "mask"): full["pmp"] * inside,
    }
    found = {}
    for (name, how), J in jacobians.items():
        options = {"mask": MASK} if how == "mask" else {"pool": how}
        one = build_map(name, backbone, x_t, T, **options)
        found[name if how == "none" else f"{name}, {how}"] = known(one.f, one.z, J)
    return found


@pytest.fixture(scope="session")
def rounded(unet: UNet2DModel) -> Callable[[torch.dtype], tuple[Callable[[Tensor], Tensor], Tensor, Tensor]]:
    """The encoder of a U-Net rounded to a precision, its point, and its exact singular values."""

    def make(dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        network, x_t = deepcopy(unet).to(dtype), point().to(dtype)
        one = build_map("encoder", backbone_of(network), x_t, T)
        same = build_map("encoder", backbone_of(deepcopy(network).double()), x_t.double(), T)
        return one.f, one.z, torch.linalg.svdvals(full_jacobian(same.f, same.z))

    return cache(make)


def full_jacobian(f: Callable[[Tensor], Tensor], z: Tensor, chunk: int = 32) -> Tensor:
    """J (m, n) row by row, from reverse mode on replicated samples: none of the code under test."""
    Z = z.repeat(chunk, *[1] * (z.ndim - 1)).requires_grad_()
    H = f(Z).flatten(1)
    eye = torch.eye(H.shape[1], dtype=z.dtype)
    rows = [
        torch.autograd.grad(H, Z, rows, retain_graph=True)[0].flatten(1) for rows in eye.reshape(-1, chunk, len(eye))
    ]
    return torch.cat(rows)
