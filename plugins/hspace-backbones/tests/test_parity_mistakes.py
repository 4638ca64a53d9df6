"""Mistakes of the kinds that reading a checkpoint invites, each shown by the reference tensors or by strict loading."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DModel

from hspace import SplitUNet
from hspace_backbones import openai
from hspace_backbones.arguments import OpenaiArguments
from hspace_backbones.layers import convert, official_shapes
from hspace_backbones.networks import Mends, build

from .test_ldm_parity import FILES as LDM_FILES
from .test_ldm_parity import tiny as latent
from .test_unet_parity import BASE, SHARED, assert_close, needs_reference, tiny

VQ = SHARED / "ldm-celebahq256-tiny.safetensors"


def differs(ours: torch.Tensor, reference: torch.Tensor) -> bool:
    """Whether it is far outside the tolerance, not just outside it."""
    return float((ours - reference).abs().max()) > 10 * 1e-5 * max(1.0, float(reference.abs().max()))


@needs_reference
@torch.no_grad()
@pytest.mark.parametrize("name", ["iddpm-cifar10", "iddpm-imagenet64"])
def test_a_timestep_without_its_fraction_is_shown(name: str) -> None:
    backbone, io = tiny(SHARED / f"{name}-tiny.safetensors")
    assert differs(backbone(io["x"], io["t"].floor()), io["out"][:, :3])


@needs_reference
@torch.no_grad()
def test_a_timestep_that_is_not_rescaled_is_shown() -> None:
    backbone, io = tiny(SHARED / "iddpm-cifar10-tiny.safetensors")
    scaled = SplitUNet(backbone.unet, backbone.alphas_cumprod, timestep_scale=0.25)
    assert_close(scaled(io["x"], 4 * io["t"]), io["out"][:, :3])
    assert differs(backbone(io["x"], 4 * io["t"]), io["out"][:, :3])


@needs_reference
def test_the_wrong_half_of_a_learned_variance_is_shown() -> None:
    _, io = tiny(SHARED / "adm-imagenet256-uncond-tiny.safetensors")
    assert differs(io["out"][:, 3:], io["out"][:, :3])


@needs_reference
@torch.no_grad()
def test_another_class_is_shown() -> None:
    backbone, io = tiny(SHARED / "adm-imagenet256-cond-tiny.safetensors")
    assert differs(backbone.bind(label=io["y"].flip(0))(io["x"], io["t"]), io["out"][:, :3])


@needs_reference
@torch.no_grad()
@pytest.mark.parametrize("path", LDM_FILES, ids=lambda path: path.name)
def test_another_scale_of_latents_is_shown(path: Any) -> None:
    backbone, io = latent(path)
    right, backbone.scale_factor = backbone.scale_factor, 1.7 * backbone.scale_factor
    try:
        image, x_0 = backbone.x0_to_image(io["scaled_latent"]), backbone.image_to_x0(io["fs_image"])
    finally:
        backbone.scale_factor = right
    assert differs(image, io["fs_decoded"])
    assert differs(x_0, backbone.image_to_x0(io["fs_image"]))


@needs_reference
def test_latents_divided_by_diffusers_default_scale_are_shown() -> None:
    backbone, io = latent(VQ)
    with torch.no_grad():
        assert differs(backbone.first_stage.decode(io["scaled_latent"] / 0.18215).sample, io["fs_decoded"])


def weights_of(args: OpenaiArguments) -> dict[str, torch.Tensor]:
    layers = list(openai.layers(args))
    return convert({name: torch.zeros(shape) for name, shape in official_shapes(layers).items()}, layers)


@pytest.mark.parametrize(
    ("changed", "config", "message"),
    [
        ({"use_scale_shift_norm": True}, {"attn_norm_num_groups": None}, "mid_block.attentions.0.group_norm"),
        ({"channel_mult": [0.5, 1, 2]}, {}, "size mismatch"),
    ],
)
def test_a_u_net_without_its_mends_does_not_load(changed: dict[str, Any], config: dict[str, Any], message: str) -> None:
    args = OpenaiArguments.read({**BASE, **changed})
    mends = Mends() if changed.get("channel_mult") else openai.mends(args)
    unet = build(UNet2DModel, {**openai.unet_config(args, 4), **config}, mends)
    with pytest.raises(RuntimeError, match=message):
        unet.load_state_dict(weights_of(args))
