"""DDPM++: the U-Net of Ho et al. as SDEdit, Asyrp and the hub's `ddpm-*` repositories use it."""

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor
from torch.nn import functional as F

from hspace import Backbone, SplitUNet
from hspace.cards import Card
from hspace.schedule import alphas_cumprod
from hspace.zoo import CARD_FILE
from hspace_backbones.folders import read_schedule, read_unet
from hspace_backbones.layout import CONFIG, family, read_json, unet_folder
from hspace_backbones.networks import Mends

FACTS: dict[str, Any] = {
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "downsample_padding": 0,
    "attention_head_dim": None,
}
"""What sets DDPM++ apart from the openai layout; a wrong one of these loads silently."""


class Patched(SplitUNet):
    """A U-Net on pictures folded into patches: x_0 is (B, 3 p p, H / p, W / p), an exact permutation of the image."""

    def __init__(
        self,
        unet: UNet2DModel,
        alphas_cumprod: Tensor,
        prediction_type: str = "epsilon",
        patch: int = 1,
        card: Card | None = None,
        timestep_scale: float = 1.0,
    ) -> None:
        super().__init__(unet, alphas_cumprod, prediction_type, card, timestep_scale)
        self.patch = patch

    def image_to_x0(self, image: Tensor) -> Tensor:
        return F.pixel_unshuffle(image, self.patch)

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        return F.pixel_shuffle(x_0, self.patch)


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone | None:
    """The DDPM++ in a folder, or None when its U-Net is not a DDPM++.

    Raises RefusedError when it is one, but damaged or without its schedule.
    """
    config, facts = read_json(unet_folder(folder) / CONFIG), read_json(folder / CARD_FILE)
    if family(folder) != "ddpmpp":
        return None
    if config.get("_class_name") != "UNet2DModel" or config.get("flip_sin_to_cos", True):
        return None
    unet = read_unet(folder, dtype, Mends.read(facts)).to(device)
    alphas, prediction_type = read_schedule(folder)
    x_shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    told = {"family": "ddpmpp", "x_shape": x_shape, "h_site": "mid.out"}
    card = Card(folder.resolve().name, "hspace_backbones.ddpmpp:load", "a DDPM++ folder", facts=told)
    return Patched(unet, alphas, prediction_type, facts.get("patch", 1), card)


def tiny(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """A DDPM++ with random weights, the same at every call: 16 px pictures, h (32, 4, 4)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DModel(
            sample_size=16,
            block_out_channels=(16, 32, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
            **FACTS,
        )
    return SplitUNet(unet.to(device) if dtype is None else unet.to(device, dtype), alphas_cumprod())
