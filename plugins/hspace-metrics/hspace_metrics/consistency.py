"""Segmentation consistency: are the parts of the picture where they were?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace.per_picture import PairMetric
from hspace_metrics.encoders import called

Segmenter = Callable[[Tensor], Tensor]
"""From images (B, 3, H, W) in [-1, 1] to labels (B, h, w), whole numbers from 0."""


class Consistency(PairMetric):
    """How far a segmenter's labels of two pictures agree: 1 for the same.

    `sc` is the share of pixels with the same label, as the official code has it; `sc.miou` is the mean of intersection
    over union, over the labels that either picture has, as its authors wrote of it.
    """

    def __init__(self, segmenter: Segmenter, name: str, seed: int = 0) -> None:
        super().__init__(seed)
        self.segmenter = segmenter
        self.protocol = f"labels by {name}"

    def look(self, images: Tensor) -> Tensor:
        return self.segmenter(images)

    def compare(self, one: Tensor, other: Tensor) -> dict[str, Tensor]:
        return {"sc": (one == other).double().mean(dim=(1, 2)), "sc.miou": mean_iou(one, other)}


def mean_iou(one: Tensor, other: Tensor) -> Tensor:
    """The mean (B,) over the labels that either has of intersection over union, of labels (B, h, w)."""
    labels = torch.unique(torch.cat([one.flatten(), other.flatten()]))
    parts = torch.stack([one == label for label in labels]), torch.stack([other == label for label in labels])
    union = (parts[0] | parts[1]).sum(dim=(2, 3))  # (labels, B)
    both = (parts[0] & parts[1]).sum(dim=(2, 3))
    seen = union > 0
    return (both / union.clamp(min=1)).double().sum(dim=0) / seen.sum(dim=0)


def build(segmenter: str = "", device: str = "cpu", seed: int = 0) -> Consistency:
    """Segmentation consistency by the segmenter that the function at `segmenter`, "module:attribute", gives.

    The function gets the device. Raises UsageError where none is named, or there is none of that name.
    """
    if not segmenter:
        raise UsageError("metric 'sc' needs a segmenter: --set sc.segmenter=MODULE:ATTRIBUTE, a function of the device")
    return Consistency(called(segmenter, device, "segmenter"), segmenter, seed)
