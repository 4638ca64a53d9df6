"""Where a run begins: at the averaged weights of another run, or at those of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hspace.checkpoint import load_checkpoint, part
from hspace.errors import HspaceError, NotFoundError, RefusedError
from hspace.loading import load_backbone
from hspace_toyfaces.learner import Learner
from hspace_toyfaces.recipes import Recipe


def begin(learner: Learner[Any], runs: Path) -> None:
    """Gives a learner the weights that its recipe's `start` names: of the run in `runs`, or else of a backbone.

    Raises NotFoundError when there is neither, RefusedError when the weights do not fit.
    """
    recipe: Recipe = learner.recipe
    assert recipe.start is not None
    weights = _of_run(runs / recipe.start, learner.device) or _of_backbone(recipe, runs)
    try:
        learner.model.load_state_dict(weights)
        learner.ema.load_state_dict(weights)
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise RefusedError(f"the weights of {recipe.start} do not fit recipe {recipe.name!r}: {why}") from error


def _of_run(folder: Path, device: torch.device) -> Mapping[str, Tensor]:
    earlier = load_checkpoint(folder, device)
    return part(earlier.tensors, "ema") if earlier is not None else {}


def _of_backbone(recipe: Recipe, runs: Path) -> Mapping[str, Tensor]:
    told = f"recipe {recipe.name!r} begins from {recipe.start}, and {runs / str(recipe.start)} holds no run"
    if getattr(recipe, "kind", None) != "backbone":
        raise NotFoundError(f"{told}. Train that one first.")
    try:
        unet = getattr(load_backbone(str(recipe.start)), "unet", None)
    except HspaceError as error:
        raise type(error)(f"{told}, nor is it a backbone: {error}. Train that one first.") from error
    if not isinstance(unet, nn.Module):
        raise RefusedError(f"{told}, and the backbone of that name has no U-Net of this kind")
    return unet.state_dict()
