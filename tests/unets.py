"""Small U-Nets with random weights, one for each way that diffusers' UNet2DModel can be put together."""

from functools import cache
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

PLAIN: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "add_attention": False,
}
ATTENTION = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "add_attention": True,
    "attention_head_dim": 8,
    "layers_per_block": 2,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "attention": ATTENTION,
    "scale-shift": {
        **ATTENTION,
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "resnet_time_scale_shift": "scale_shift",
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    },
    "skip-fourier": {
        "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
        "block_out_channels": (32, 32),
        "norm_num_groups": 8,
        "attention_head_dim": 8,
        "time_embedding_type": "fourier",
        "add_attention": True,
    },
    "centred-input": {"center_input_sample": True},
    "no-middle": {"mid_block_type": None},
    "classes": {"num_class_embeds": 5},
    "timestep-classes": {"class_embed_type": "timestep"},
    "learned-variance": {"out_channels": 6},
}


@cache
def unet(name: str) -> UNet2DModel:
    """The U-Net of that name, the same at every call; every weight, zero-initialised ones too, is random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = UNet2DModel(**{**PLAIN, **CONFIGS[name]})
        with torch.no_grad():
            for weight in made.parameters():
                weight.add_(0.02 * torch.randn_like(weight))
    return made.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
