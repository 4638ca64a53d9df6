"""The parts of toy faces as labels: the faces are read from their pixels, and drawn again as regions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .attributes import ATTRIBUTES, NAMES, from_matrix
from .regions import region_mask
from .regressor import SIDE, load_regressor

LABELS = ("background", "hair", "neck", "ears", "shirt", "face", "beard", "nose", "mouth", "eyes", "brows", "glasses")
"""What a pixel can be, its number being the label; of two that claim it, the later one has it."""


def load(device: str) -> Callable[[Tensor], Tensor]:
    """The segmenter: from images (B, 3, S, S) in [-1, 1] to labels (B, 64, 64), places in LABELS.

    The zoo's regressor reads what face each is, and its regions are those of that face's render. Raises as
    `load_regressor` does.
    """
    regressor = load_regressor(device=device)
    low, high = (torch.tensor([getattr(ATTRIBUTES[name], end) for name in NAMES], device=device) for end in ENDS)

    @torch.no_grad()
    def segment(images: Tensor) -> Tensor:
        if images.shape[-1] > SIDE:
            images = interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
        return labels(regressor.predict(images.to(device)).clamp(low, high))

    return segment


ENDS = ("low", "high")


def labels(faces: Tensor) -> Tensor:
    """The labels (n, 64, 64) of the faces with those attributes (n, len(NAMES)); pixels of no region are background."""
    known = from_matrix(faces)
    found = torch.zeros(len(faces), SIDE, SIDE, dtype=torch.int64, device=faces.device)
    for label, name in enumerate(LABELS):
        found[region_mask(known, name, SIDE)[:, 0]] = label
    return found
