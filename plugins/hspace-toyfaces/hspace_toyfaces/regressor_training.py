"""Training the attribute regressor, and how well it reads each attribute."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, mse_loss, pad

from hspace.storage import write_bytes
from hspace_toyfaces.attributes import NAMES, sample_attributes, to_matrix
from hspace_toyfaces.learner import Learner
from hspace_toyfaces.recipes import RegressorRecipe
from hspace_toyfaces.regressor import SIDE, Regressor
from hspace_toyfaces.renderer import render

FRESH_SEED, FRESH_FACES = 2**32, 1000


class RegressorLearner(Learner[RegressorRecipe]):
    """A regressor that learns from fresh renders, blurred and noised."""

    def __init__(self, recipe: RegressorRecipe, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.regressor = Regressor(len(NAMES), recipe.channels, recipe.features)
        super().__init__(self.regressor, recipe, seed, device)

    def loss(self, generator: torch.Generator) -> Tensor:
        """The mean squared error in the attributes over one batch, a share of it rendered at each size."""
        sizes = self.recipe.image_sizes
        faces = sample_attributes(self.recipe.batch, generator=generator)
        truth = to_matrix(faces).to(self.device)
        images = torch.cat(
            [
                interpolate(
                    render({name: value[place :: len(sizes)] for name, value in faces.items()}, size),
                    size=(SIDE, SIDE), mode="bilinear", align_corners=False,
                )
                for place, size in enumerate(sizes)
            ]
        )  # fmt: skip
        truth = torch.cat([truth[place :: len(sizes)] for place in range(len(sizes))])
        images = augment(images, self.recipe.noise, generator).to(self.device)
        with self.precision():
            predicted = self.model(images)
        return mse_loss(predicted.float(), truth)

    def illustrate(self, folder: Path) -> None:
        """Writes `r2.json`: the share of each attribute's variance that the moving average explains."""
        assert isinstance(self.ema, Regressor)
        scores = {str(size): r_squared(self.ema, size) for size in self.recipe.image_sizes}
        write_bytes(folder / "r2.json", (json.dumps(scores, indent=2) + "\n").encode())


def augment(images: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """The images (B, 3, H, W), each blurred by up to a 3x3 box and noised by up to `noise`, half of them sharp."""
    amount = torch.rand(2, len(images), 1, 1, 1, generator=generator)
    blurred = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    softened = torch.lerp(images, blurred, (2 * amount[0] - 1).clamp(min=0))
    return softened + noise * amount[1] * torch.randn(images.shape, generator=generator)


@torch.no_grad()
def r_squared(regressor: Regressor, size: int, n: int = FRESH_FACES) -> dict[str, float]:
    """R^2 = 1 - residual variance / variance of each attribute, over n fresh faces rendered at `size`."""
    faces = sample_attributes(n, generator=torch.Generator().manual_seed(FRESH_SEED))
    truth = to_matrix(faces)
    device = next(regressor.parameters()).device
    predicted = torch.cat(
        [regressor.predict(images.to(device)).cpu() for images in torch.split(render(faces, size), 100)]
    )
    explained = 1 - (predicted - truth).square().mean(0) / truth.var(0, correction=0)
    return {name: round(float(value), 4) for name, value in zip(NAMES, explained, strict=True)}
