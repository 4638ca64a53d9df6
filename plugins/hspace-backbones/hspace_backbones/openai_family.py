"""What iDDPM and ADM share: their folders, and random-weight networks in small."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace import Backbone, SplitUNet
from hspace.zoo import CARD_FILE
from hspace_backbones import openai
from hspace_backbones.arguments import OpenaiArguments
from hspace_backbones.ddpmpp import Patched
from hspace_backbones.folders import read_schedule, read_unet
from hspace_backbones.layout import read_json
from hspace_backbones.networks import Mends, build

TINY = {
    "image_size": 16,
    "in_channels": 3,
    "out_channels": 6,
    "model_channels": 16,
    "channel_mult": (1, 2, 2),
    "num_res_blocks": 1,
    "use_scale_shift_norm": True,
}
TINY_GROUPS = 8


def load_folder(
    family: str, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Backbone | None:
    """The backbone in a folder whose card names that family, else None: their U-Nets cannot be told apart.

    Raises RefusedError when it is damaged or without its schedule.
    """
    facts = read_json(folder / CARD_FILE)
    if facts.get("family") != family:
        return None
    unet = read_unet(folder, dtype, Mends.read(facts)).to(device)
    alphas, prediction_type = read_schedule(folder)
    scale = facts.get("timestep_scale", 1.0)
    return Patched(unet, alphas, prediction_type, facts.get("patch", 1), timestep_scale=scale)


def random_unet(args: Mapping[str, Any], norm_num_groups: int = TINY_GROUPS) -> UNet2DModel:
    """A U-Net of the openai layout with random weights, the same at every call."""
    read = OpenaiArguments.read(args)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet: UNet2DModel = build(UNet2DModel, openai.unet_config(read, norm_num_groups), openai.mends(read))
    return unet


def tiny(
    changed: Mapping[str, Any],
    alphas_cumprod: Tensor,
    device: str | torch.device,
    dtype: torch.dtype | None,
    timestep_scale: float = 1.0,
) -> Backbone:
    """A backbone in small with random weights: 16 px pictures, h (32, 4, 4), a learned variance."""
    unet = random_unet({**TINY, **changed})
    return SplitUNet(
        unet.to(device) if dtype is None else unet.to(device, dtype), alphas_cumprod, timestep_scale=timestep_scale
    )
