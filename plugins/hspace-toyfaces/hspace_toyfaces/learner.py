"""What is trained: a model, its moving average and its optimizer, one step at a time."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hspace.checkpoint import optimizer_tensors, part, restore_optimizer
from hspace_toyfaces.recipes import Recipe

R = TypeVar("R", bound=Recipe)


def generator_for(seed: int, step: int) -> torch.Generator:
    """The CPU generator from which everything random in one step is drawn, so that no step needs those before it."""
    state = np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def rate_at(recipe: Recipe, step: int) -> float:
    """The learning rate of step 0, 1, ...: a linear rise over the warm-up, times a half cosine that ends at 0."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    return recipe.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


class Learner(ABC, Generic[R]):
    """A model in training by AdamW; `ema` is the moving average that is kept.

    Step i depends on the tensors before it, the recipe and (seed, i) alone, so a run can stop and go on anywhere.
    """

    def __init__(self, model: nn.Module, recipe: R, seed: int, device: torch.device) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.model = model.to(device)
        self.ema = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.99), weight_decay=recipe.weight_decay, fused=True
        )

    @abstractmethod
    def loss(self, generator: torch.Generator) -> Tensor:
        """The loss (a scalar) of one fresh batch, all of it drawn from the generator."""

    @abstractmethod
    def illustrate(self, folder: Path) -> None:
        """Writes pictures or figures to `folder` that show what the moving average can do."""

    def precision(self) -> torch.autocast:
        """The context in which the model runs forward in the recipe's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def step(self, step: int) -> float:
        """The loss of step 0, 1, ..., after which the model has learnt from it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.recipe, step)
        loss = self.loss(generator_for(self.seed, step))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._average(step)
        return float(loss.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Everything the next step reads, as name -> tensor."""
        parts = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer),
        }
        return {f"{part}/{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts the tensors back; the next step then gives the bits it would have given."""
        self.model.load_state_dict(part(tensors, "model"))
        self.ema.load_state_dict(part(tensors, "ema"))
        restore_optimizer(self.optimizer, part(tensors, "optimizer"))

    def _average(self, step: int) -> None:
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        ours = [parameter.detach() for parameter in self.model.parameters()]
        torch._foreach_lerp_(list(self.ema.parameters()), ours, 1 - decay)
        averaged = self.ema.state_dict()
        for name, now in self.model.named_buffers():
            if name in averaged:  # a batch norm's running statistics, not a constant mask
                averaged[name].copy_(averaged[name].lerp(now, 1 - decay) if now.is_floating_point() else now)
