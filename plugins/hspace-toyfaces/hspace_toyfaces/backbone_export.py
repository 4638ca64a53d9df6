"""From a training run to a backbone folder of a zoo, with a card that says how it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from hspace.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from hspace.errors import NotFoundError, RefusedError
from hspace.plots import draw_losses
from hspace.storage import write_bytes
from hspace_toyfaces.architectures import SCHEDULES
from hspace_toyfaces.backbone_training import BackboneLearner
from hspace_toyfaces.recipes import BackboneRecipe

LICENCE = "Apache-2.0"
NOISE = 2.0
"""How far a first stage trained on faces may be from returning noise in [-1, 1]."""
WEIGHTS = "diffusion_pytorch_model.safetensors"


def export(run: Path, out: Path) -> None:
    """Writes `out`: unet/ and scheduler/ as diffusers saves them (half precision), card.json, loss.png.

    A run that has not come to its end is exported too, and its card says that it is preliminary.
    Raises NotFoundError when the folder holds no run, RefusedError when that run trains something else.
    """
    from diffusers import DDPMScheduler

    checkpoint = open_run(run)
    if checkpoint.facts["recipe"].get("kind") != "backbone":
        raise RefusedError(f"{run} trains a {checkpoint.facts['recipe'].get('kind')}, not a backbone")
    recipe = BackboneRecipe.model_validate(checkpoint.facts["recipe"])
    learner = BackboneLearner(recipe, checkpoint.facts["seed"], torch.device("cpu"), run.parent)
    learner.restore(checkpoint.tensors)
    write_network(learner.ema, out / "unet")
    if learner.first_stage is not None:
        write_network(learner.first_stage, out / "first_stage")
    betas = SCHEDULES[recipe.family]
    scheduler = DDPMScheduler(num_train_timesteps=1000, **betas, prediction_type="v_prediction", clip_sample=False)
    scheduler.save_pretrained(out / "scheduler")
    draw_losses(checkpoint.facts["log"], out / "loss.png")
    write_card(out, backbone_card(learner, checkpoint))


def write_network(network: Any, folder: Path) -> None:
    """Writes a network as diffusers saves it, in half precision."""
    network.half().save_pretrained(folder)
    (folder / WEIGHTS).chmod(0o644)  # diffusers leaves it readable by its owner alone


def backbone_card(learner: BackboneLearner, checkpoint: Checkpoint) -> dict[str, Any]:
    """The facts of a backbone's `card.json`, without any measurement."""
    recipe, (_, side, _) = learner.recipe, learner.x_shape
    bottleneck = side >> (len(recipe.channels) - 1)
    unfinished = f" (preliminary: {checkpoint.step} of {recipe.steps} steps)" if checkpoint.step < recipe.steps else ""
    return {
        "format": 1,
        "name": recipe.name,
        "family": recipe.family,
        "summary": recipe.summary + unfinished,
        "image_size": recipe.image_size,
        "patch": recipe.patch,
        "x_shape": list(learner.x_shape),
        "h_shape": [recipe.channels[-1], bottleneck, bottleneck],
        "h_site": "mid.out",
        "encoder": "toyclip",
        "licence": LICENCE,
        "source": f"trained by hspace toyfaces train-backbone {recipe.name}",
        **({"scale_factor": learner.scale, "image_tolerance": NOISE} if learner.first_stage is not None else {}),
        "training": training_facts(checkpoint, recipe.batch),
        "metrics": [],
    }


def training_facts(checkpoint: Checkpoint, batch: int) -> dict[str, Any]:
    """What a run used so far, and its recipe."""
    kept = ("cpu_seconds", "wall_seconds", "threads", "device", "torch", "seed", "recipe")
    return {"images": checkpoint.step * batch} | {name: checkpoint.facts[name] for name in kept}


def open_run(run: Path) -> Checkpoint:
    """The last checkpoint of a training run.

    Raises NotFoundError when there is none.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint is None:
        raise NotFoundError(f"{run} holds no training run ({CHECKPOINT} is not there). Train one first.")
    return checkpoint


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Writes `card.json`, indented, in one move."""
    write_bytes(folder / "card.json", (json.dumps(card, indent=2) + "\n").encode())
