"""LPIPS as a metric."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from hspace.errors import UsageError
from hspace.per_picture import PairMetric
from hspace_asyrp.lpips import SMALLEST, Lpips, read_lpips


class Perceptual(PairMetric):
    """LPIPS with AlexNet of two pictures at their own size: 0 for the same."""

    missing = f"LPIPS needs pictures of at least {SMALLEST} pixels a side"

    def __init__(self, lpips: Lpips, seed: int = 0) -> None:
        super().__init__(seed)
        self.lpips = lpips
        self.protocol = f"LPIPS 0.1, AlexNet, at the pictures' own size; weights {lpips.digest()[:12]}"

    def look(self, images: Tensor) -> list[Tensor]:
        if min(images.shape[-2:]) < SMALLEST:
            return [images.new_full((len(images), 1, 1, 1), float("nan"))]
        return self.lpips.maps(images.to(self.lpips.shift.device))

    def compare(self, one: list[Tensor], other: list[Tensor]) -> dict[str, Tensor]:
        return {"lpips": self.lpips.between(one, other) if len(one) > 1 else one[0].flatten()}


def build(weights: list[Path] = [], device: str = "cpu", seed: int = 0) -> Perceptual:  # noqa: B006
    """LPIPS by the weights in those files or folders. Raises UsageError where there are none; else as `read_lpips`."""
    if not weights:
        raise UsageError(
            "metric 'lpips' needs its published weights, torchvision's AlexNet and the lpips package's alex.pth: "
            "--set 'lpips.weights=[\"FOLDER\"]'"
        )
    return Perceptual(read_lpips(weights).to(device), seed)
