"""Training a tiny VQ first stage on toy faces that are rendered as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hspace_toyfaces.attributes import sample_attributes
from hspace_toyfaces.learner import Learner, generator_for
from hspace_toyfaces.recipes import FirstStageRecipe
from hspace_toyfaces.renderer import render
from hspace_toyfaces.training_plots import draw_sheet

if TYPE_CHECKING:
    from diffusers import VQModel

SHEET_FACES, SHEET_SEED = 16, 2**31


class FirstStageLearner(Learner[FirstStageRecipe]):
    """An autoencoder that learns to give faces back from few, later quantised, numbers."""

    model: VQModel
    ema: VQModel

    def __init__(self, recipe: FirstStageRecipe, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        super().__init__(build_first_stage(recipe), recipe, seed, device)
        self.quantised_from = int(recipe.continuous_share * recipe.steps)
        self.quantised = False

    def step(self, step: int) -> float:
        if step == self.quantised_from:
            self._draw_codes(generator_for(self.seed, step))
        self.quantised = step >= self.quantised_from
        return super().step(step)

    def loss(self, generator: torch.Generator) -> Tensor:
        """The mean absolute error over one batch of fresh faces, and how far the latents are from their codes."""
        faces = self._faces(self.recipe.batch, generator)
        with self.precision():
            latents = self.model.encode(faces).latents
        decoded, commitment = self.model.decode(
            latents.float(), force_not_quantize=not self.quantised, return_dict=False
        )
        error: Tensor = (decoded - faces).abs().mean()
        return error + commitment.mean() if self.quantised else error

    def illustrate(self, folder: Path) -> None:
        """Writes `samples.png`: 16 faces, each row followed by the moving average's reconstructions."""
        faces = self._faces(SHEET_FACES, torch.Generator().manual_seed(SHEET_SEED))
        with torch.no_grad():
            latents = self.ema.encode(faces).latents
            decoded = self.ema.decode(latents, force_not_quantize=not self.quantised).sample
        rows = torch.stack([faces.reshape(-1, 8, *faces.shape[1:]), decoded.reshape(-1, 8, *faces.shape[1:])], dim=1)
        draw_sheet(rows.flatten(0, 2), folder / "samples.png", zoom=max(1, 96 // self.recipe.image_size))

    @torch.no_grad()
    def _draw_codes(self, generator: torch.Generator) -> None:
        per_face = (self.recipe.image_size >> (len(self.recipe.channels) - 1)) ** 2
        n = -(-4 * self.recipe.codes // per_face)
        latents = self.model.encode(self._faces(n, generator)).latents.movedim(1, -1).flatten(0, -2)
        chosen = latents[torch.randperm(len(latents), generator=generator)[: self.recipe.codes]]
        for network in (self.model, self.ema):
            network.quantize.embedding.weight.copy_(chosen)

    def _faces(self, n: int, generator: torch.Generator) -> Tensor:
        attributes = sample_attributes(n, generator=generator)
        return render({name: value.to(self.device) for name, value in attributes.items()}, self.recipe.image_size)


def build_first_stage(recipe: FirstStageRecipe) -> VQModel:
    """An untrained VQ autoencoder in the layout of the LDM family's, without attention."""
    from diffusers import VQModel

    levels = len(recipe.channels)
    return VQModel(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.channels,
        layers_per_block=recipe.layers,
        latent_channels=recipe.latent_channels,
        sample_size=recipe.image_size,
        num_vq_embeddings=recipe.codes,
        vq_embed_dim=recipe.latent_channels,
        norm_num_groups=recipe.norm_groups,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )
