"""Training a tiny U-Net of one of the families on toy faces that are rendered as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hspace.sampling import sample
from hspace_toyfaces.architectures import LEARNED_VARIANCE, build_unet, family_alphas_cumprod
from hspace_toyfaces.attributes import sample_attributes
from hspace_toyfaces.first_stage import open_first_stage
from hspace_toyfaces.learned_variance import VLB_WEIGHT, variance_loss
from hspace_toyfaces.learner import Learner
from hspace_toyfaces.noise_levels import diffuse, min_snr_weights, stratified_timesteps, timestep_shares
from hspace_toyfaces.recipes import BackboneRecipe
from hspace_toyfaces.renderer import render
from hspace_toyfaces.training_plots import draw_sheet

if TYPE_CHECKING:
    from hspace.unet import SplitUNet

SHEET_FACES, SHEET_SEED, SHEET_STEPS = 24, 2**31, 20


class BackboneLearner(Learner[BackboneRecipe]):
    """A U-Net that learns to predict v; `runs` is where an LDM's first stage was trained.

    `backbone` is its moving average.
    """

    def __init__(self, recipe: BackboneRecipe, seed: int, device: torch.device, runs: Path = Path("runs")) -> None:
        self.first_stage, self.scale = None, 1.0
        channels, side = 3 * recipe.patch**2, recipe.image_size // recipe.patch
        if recipe.first_stage is not None:
            first_stage, self.scale = open_first_stage(runs / recipe.first_stage)
            self.first_stage = first_stage.to(device)
            channels = first_stage.config.latent_channels
            side = recipe.image_size >> (len(first_stage.config.block_out_channels) - 1)
        self.x_shape = (channels, side, side)
        torch.manual_seed(seed)
        super().__init__(build_unet(recipe, channels, side), recipe, seed, device)
        self.alphas_cumprod = family_alphas_cumprod(recipe.family)
        self.shares = timestep_shares(self.alphas_cumprod, recipe.low_noise_share)
        self.backbone = self._as_backbone()
        weights = min_snr_weights(self.alphas_cumprod)
        self.weights = (weights if recipe.loss_weight == "min-snr" else torch.ones_like(weights)).float()

    def loss(self, generator: torch.Generator) -> Tensor:
        """The weighted squared error in v over one batch of fresh faces, and what teaches a learned variance."""
        recipe = self.recipe
        faces = sample_attributes(recipe.batch // recipe.noises, generator=generator, skew=recipe.skew)
        faces = {name: value.to(self.device) for name, value in faces.items()}
        x_0 = self.backbone.image_to_x0(render(faces, recipe.image_size)).repeat(recipe.noises, 1, 1, 1)
        t = stratified_timesteps(self.shares, recipe.batch, generator)
        eps = torch.randn(x_0.shape, generator=generator).to(self.device)
        a_t = self.alphas_cumprod[t]
        x_t, v = diffuse(x_0, eps, a_t)
        with self.precision():
            output: Tensor = self.model(x_t, t.to(self.device)).sample
        predicted, raw = output.float()[:, : x_0.shape[1]], output.float()[:, x_0.shape[1] :]
        errors = (predicted - v).square().mean(dim=(1, 2, 3))
        loss = (self.weights[t].to(self.device) * errors).mean()
        if recipe.family in LEARNED_VARIANCE:
            a = a_t.to(x_t).reshape(-1, 1, 1, 1)
            P_t = a.sqrt() * x_t - (1 - a).sqrt() * predicted.detach()
            loss = loss + VLB_WEIGHT * variance_loss(raw, x_0, P_t, t, self.alphas_cumprod).mean()
        return loss

    def illustrate(self, folder: Path) -> None:
        """Writes `samples.png`: 24 faces of the moving average, always from the same noise."""
        zoom = max(1, 96 // self.recipe.image_size)
        draw_sheet(self.samples(SHEET_FACES, SHEET_SEED), folder / "samples.png", zoom=zoom)

    def samples(self, n: int, seed: int, steps: int = SHEET_STEPS) -> Tensor:
        """n faces (n, 3, H, W) of the moving average, by DDIM."""
        x_T = torch.randn(n, *self.x_shape, generator=torch.Generator().manual_seed(seed))
        return self.backbone.x0_to_image(sample(self.backbone, x_T.to(self.device), steps=steps))

    def _as_backbone(self) -> SplitUNet:
        from hspace_backbones.ddpmpp import Patched
        from hspace_backbones.latent import LatentUNet

        if self.first_stage is None:
            return Patched(self.ema, self.alphas_cumprod, "v_prediction", self.recipe.patch)
        return LatentUNet(self.ema, self.first_stage, self.alphas_cumprod, self.scale, "v_prediction")
