"""Training a tiny DDPM++ U-Net on toy faces that are rendered as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from hspace.sampling import sample
from hspace.schedule import alphas_cumprod
from hspace.unet import SplitUNet
from hspace_toyfaces.attributes import sample_attributes
from hspace_toyfaces.learner import Learner
from hspace_toyfaces.noise_levels import diffuse, min_snr_weights, stratified_timesteps, timestep_shares
from hspace_toyfaces.recipes import BackboneRecipe
from hspace_toyfaces.renderer import render
from hspace_toyfaces.training_plots import draw_sheet

if TYPE_CHECKING:
    from diffusers import UNet2DModel

SHEET_FACES, SHEET_SEED, SHEET_STEPS = 24, 2**31, 20


class BackboneLearner(Learner[BackboneRecipe]):
    """A U-Net that learns to predict v from pixel-unshuffled faces."""

    def __init__(self, recipe: BackboneRecipe, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        super().__init__(build_unet(recipe), recipe, seed, device)
        self.alphas_cumprod = alphas_cumprod("linear")
        self.shares = timestep_shares(self.alphas_cumprod, recipe.low_noise_share)
        weights = min_snr_weights(self.alphas_cumprod)
        self.weights = (weights if recipe.loss_weight == "min-snr" else torch.ones_like(weights)).float()

    def loss(self, generator: torch.Generator) -> Tensor:
        """The weighted squared error in v over one batch of fresh faces."""
        recipe = self.recipe
        faces = sample_attributes(recipe.batch, generator=generator)
        faces = {name: value.to(self.device) for name, value in faces.items()}
        x_0 = pixel_unshuffle(render(faces, recipe.image_size), recipe.patch)
        t = stratified_timesteps(self.shares, recipe.batch, generator)
        eps = torch.randn(x_0.shape, generator=generator).to(self.device)
        x_t, v = diffuse(x_0, eps, self.alphas_cumprod[t])
        with torch.autocast(self.device.type, torch.bfloat16):
            predicted: Tensor = self.model(x_t, t.to(self.device)).sample
        errors = (predicted.float() - v).square().mean(dim=(1, 2, 3))
        weighted: Tensor = self.weights[t].to(self.device) * errors
        return weighted.mean()

    def illustrate(self, folder: Path) -> None:
        """Writes `samples.png`: 24 faces of the moving average, always from the same noise."""
        zoom = max(1, 96 // self.recipe.image_size)
        draw_sheet(self.samples(SHEET_FACES, SHEET_SEED), folder / "samples.png", zoom=zoom)

    def samples(self, n: int, seed: int, steps: int = SHEET_STEPS) -> Tensor:
        """n faces (n, 3, H, W) of the moving average, by DDIM."""
        side = self.recipe.image_size // self.recipe.patch
        x_T = torch.randn(n, 3 * self.recipe.patch**2, side, side, generator=torch.Generator().manual_seed(seed))
        backbone = SplitUNet(self.ema, self.alphas_cumprod, "v_prediction")
        return pixel_shuffle(sample(backbone, x_T.to(self.device), steps=steps), self.recipe.patch)


def build_unet(recipe: BackboneRecipe) -> UNet2DModel:
    """An untrained U-Net of the DDPM++ family: one ResNet per level, one attention head in the middle alone."""
    from diffusers import UNet2DModel

    levels = len(recipe.channels)
    return UNet2DModel(
        sample_size=recipe.image_size // recipe.patch,
        in_channels=3 * recipe.patch**2,
        out_channels=3 * recipe.patch**2,
        layers_per_block=1,
        block_out_channels=recipe.channels,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        norm_num_groups=recipe.norm_groups,
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        attention_head_dim=None,
        dropout=0.0,
    )
