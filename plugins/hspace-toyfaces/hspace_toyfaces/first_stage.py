"""A trained first stage as the second stage sees it: as it will be stored, with the scale of its latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hspace.checkpoint import load_checkpoint, part
from hspace.errors import NotFoundError, RefusedError
from hspace_toyfaces.attributes import sample_attributes
from hspace_toyfaces.first_stage_training import build_first_stage
from hspace_toyfaces.recipes import FirstStageRecipe
from hspace_toyfaces.renderer import render

if TYPE_CHECKING:
    from diffusers import VQModel

SCALE_FACES, SCALE_SEED = 256, 2**31 + 1


def open_first_stage(run: Path) -> tuple[VQModel, float]:
    """The averaged weights of a run, rounded to half precision as they will be stored, and the latents' scale.

    The scale makes the standard deviation of the latents 1, to three digits. Raises NotFoundError when there is no
    run, RefusedError when it trains something else or has not come to its end.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint is None:
        raise NotFoundError(f"the recipe's first stage is the run {run}, which is not there. Train that one first.")
    kind = checkpoint.facts["recipe"].get("kind")
    if kind != "first-stage":
        raise RefusedError(f"{run} trains a {kind}, not a first stage")
    recipe = FirstStageRecipe.model_validate(checkpoint.facts["recipe"])
    if checkpoint.step < recipe.steps:
        raise RefusedError(
            f"the first stage in {run} is at step {checkpoint.step} of {recipe.steps}. Let it end first."
        )
    first_stage = build_first_stage(recipe)
    first_stage.load_state_dict(part(checkpoint.tensors, "ema"))
    first_stage = first_stage.half().float().eval().requires_grad_(False)
    return first_stage, _scale(first_stage, recipe.image_size)


@torch.no_grad()
def _scale(first_stage: VQModel, image_size: int) -> float:
    faces = render(sample_attributes(SCALE_FACES, generator=torch.Generator().manual_seed(SCALE_SEED)), image_size)
    latents = torch.cat([first_stage.encode(some).latents for some in torch.split(faces, 32)])
    return float(f"{1 / float(latents.std()):.3g}")
