"""Wrong conversions that load: what `hspace verify` makes of them, on a trained backbone and pictures of its domain."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import Timesteps
from diffusers.models.resnet import Downsample2D
from torch import Tensor, nn

from hspace import SplitUNet, load_backbone
from hspace.plugins import plugins
from hspace.schedule import alphas_cumprod
from hspace.verification import BETTER, WORST_RATIO, Level, compare, errors

SIZES = [32, pytest.param(64, marks=pytest.mark.slow)]


@cache
def sound(size: int) -> tuple[SplitUNet, Tensor]:
    """A trained backbone, and x_0 of pictures that it never saw."""
    backbone = load_backbone(f"ddpmpp-toyfaces-{size}")
    assert isinstance(backbone, SplitUNet)
    faces = plugins().find("sources", "toyfaces").load()(size=size, seed=123).images(3)
    return backbone, backbone.image_to_x0(faces)


@cache
def compared(size: int) -> tuple[dict[str, float], list[Level], list[Level]]:
    """How the error of the sound backbone changes under other assumptions; its errors before and after."""
    backbone, x_0 = sound(size)
    before = errors(backbone, x_0, seed=0)
    others = compare(backbone, x_0, seed=0)
    return others, before, errors(backbone, x_0, seed=0)


def setting(kind: type[nn.Module], **values: Any) -> Callable[[SplitUNet], None]:
    def change(backbone: SplitUNet) -> None:
        for module in backbone.unet.modules():
            if isinstance(module, kind):
                for name, value in values.items():
                    setattr(module, name, value)

    return change


def on_the_backbone(**values: Any) -> Callable[[SplitUNet], None]:
    def change(backbone: SplitUNet) -> None:
        for name, value in values.items():
            setattr(backbone, name, value)

    return change


def padding(backbone: SplitUNet) -> None:
    for module in backbone.unet.modules():
        if isinstance(module, Downsample2D):
            module.padding = 1
            assert isinstance(module.conv, nn.Conv2d)
            module.conv.padding = (1, 1)


def heads(backbone: SplitUNet) -> None:
    setting(Attention, heads=4, sliceable_head_dim=4)(backbone)
    for module in backbone.unet.modules():
        if isinstance(module, Attention):
            module.scale = (module.inner_dim // 4) ** -0.5


@torch.no_grad()
def order(backbone: SplitUNet) -> None:
    """The rows of q, k, v as those of each of four heads in turn."""
    heads(backbone)
    for module in backbone.unet.modules():
        if isinstance(module, Attention):
            for kind in ("weight", "bias"):
                layers = [module.to_q, module.to_k, module.to_v]
                rows = torch.cat([getattr(layer, kind) for layer in layers]).chunk(12)
                for index, layer in enumerate(layers):
                    getattr(layer, kind).copy_(torch.cat(rows[index::3]))


MISTAKES: dict[str, Callable[[SplitUNet], None]] = {
    "order of q, k, v": order,
    "heads": heads,
    "padding of downsampling": padding,
    "time embedding: sine, cosine": setting(Timesteps, flip_sin_to_cos=True),
    "time embedding: frequencies": setting(Timesteps, downscale_freq_shift=0),
    "norm groups": setting(nn.GroupNorm, num_groups=4),
    "schedule": on_the_backbone(alphas_cumprod=alphas_cumprod("squaredcos_cap_v2")),
    "timestep scale": on_the_backbone(timestep_scale=0.25),
    "prediction type": on_the_backbone(prediction_type="epsilon"),
}
EXPLAINED_BY = {"order of q, k, v": "heads: 1", "time embedding: frequencies": "time embedding: frequencies"}
"""What the best other assumption begins with, where that is not the name of the mistake."""


@pytest.mark.parametrize("size", SIZES)
def test_no_other_assumption_fits_a_sound_backbone_better(size: int) -> None:
    others, found, _ = compared(size)
    assert len(others) > 15
    assert {what: change for what, change in others.items() if change < 0.5 * -BETTER} == {}
    assert max(one.error / one.guess for one in found[:4]) < 0.6 * WORST_RATIO


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_that_loads_is_named(size: int, mistake: str) -> None:
    backbone, x_0 = sound(size)
    broken = copy.deepcopy(backbone)
    MISTAKES[mistake](broken)
    others = compare(broken, x_0 if size > 32 else x_0[:1], seed=0)
    best = min(others, key=lambda what: others[what])
    assert others[best] < -BETTER
    assert best.startswith(EXPLAINED_BY.get(mistake, mistake))


def test_a_wrong_norm_eps_is_not_seen() -> None:
    backbone, x_0 = sound(32)
    broken = copy.deepcopy(backbone)
    setting(nn.GroupNorm, eps=1e-5)(broken)
    assert abs(compare(broken, x_0[:1], seed=0)["norm eps: 1e-06"]) < 0.1 * BETTER


def test_the_alternatives_leave_the_backbone_alone() -> None:
    _, before, after = compared(32)
    assert after == before
