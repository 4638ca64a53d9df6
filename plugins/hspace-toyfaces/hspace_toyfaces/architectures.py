"""The four families in small: what tells their U-Nets and schedules apart, in the words of diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from hspace.schedule import alphas_cumprod

if TYPE_CHECKING:
    from diffusers import UNet2DModel

    from hspace_toyfaces.recipes import BackboneRecipe

OPENAI: dict[str, Any] = {"flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5, "downsample_padding": 1}
SCALE_SHIFT: dict[str, Any] = {**OPENAI, "resnet_time_scale_shift": "scale_shift"}
RESBLOCK_UPDOWN: dict[str, Any] = {**SCALE_SHIFT, "downsample_type": "resnet", "upsample_type": "resnet"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "ddpmpp": {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6, "downsample_padding": 0},
    "iddpm": SCALE_SHIFT,
    "adm": RESBLOCK_UPDOWN,
    "ldm": OPENAI,
}
LEARNED_VARIANCE = ("iddpm", "adm")
LINEAR: dict[str, Any] = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
SCHEDULES: dict[str, dict[str, Any]] = {
    "ddpmpp": LINEAR,
    "iddpm": LINEAR,
    "adm": LINEAR,
    "ldm": {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195},
}


def build_unet(recipe: BackboneRecipe, channels: int, side: int) -> UNet2DModel:
    """An untrained U-Net of the recipe's family for x_t (B, channels, side, side); it predicts v.

    With a learned variance it has twice as many channels out.
    """
    from diffusers import UNet2DModel

    resampling = recipe.family == "adm"
    down = [_block("Down", resampling, level in recipe.attention) for level in range(len(recipe.channels))]
    up = [_block("Up", resampling, level in recipe.attention) for level in range(len(recipe.channels))]
    return UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels * (2 if recipe.family in LEARNED_VARIANCE else 1),
        layers_per_block=recipe.layers,
        block_out_channels=recipe.channels,
        down_block_types=tuple(down),
        up_block_types=tuple(reversed(up)),
        norm_num_groups=recipe.norm_groups,
        attn_norm_num_groups=recipe.norm_groups,
        attention_head_dim=recipe.head_channels,
        dropout=0.0,
        **LAYOUTS[recipe.family],
    )


def family_alphas_cumprod(family: str) -> Tensor:
    """alphas_cumprod (1000,) float64 that the family's siblings are trained with."""
    betas = SCHEDULES[family]
    return alphas_cumprod(betas["beta_schedule"], 1000, betas["beta_start"], betas["beta_end"])


def _block(way: str, resampling: bool, attention: bool) -> str:
    if attention:
        return f"Attn{way}Block2D"
    return f"Resnet{way}sampleBlock2D" if resampling else f"{way}Block2D"
