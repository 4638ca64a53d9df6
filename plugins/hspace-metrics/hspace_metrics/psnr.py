"""The peak signal-to-noise ratio."""

from __future__ import annotations

from torch import Tensor

from hspace.per_picture import PairMetric


class Psnr(PairMetric):
    """10 log10(4 / MSE) of pictures in [-1, 1], whose peak is 2; equal pictures have none, it would be infinite."""

    protocol = "10 log10(peak^2 / MSE) over all pixels and channels, in dB"
    missing = "Equal pictures have an infinite PSNR"

    def look(self, images: Tensor) -> Tensor:
        return images.double()

    def compare(self, one: Tensor, other: Tensor) -> dict[str, Tensor]:
        return {"psnr": 10 * (4 / (one - other).square().mean(dim=(1, 2, 3))).log10()}


def build(seed: int = 0) -> Psnr:
    """PSNR; the seed is that of its interval."""
    return Psnr(seed)
