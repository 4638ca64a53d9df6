"""Perceptual distances between pictures: LPIPS where its weights are at hand, else how an encoder sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from hspace import Encoder
from hspace.errors import UsageError
from hspace_asyrp.lpips import Lpips, read_lpips


class Distance(ABC):
    """How far apart pictures look. `digest` is the sha256 of all it depends on; `lpips` is whether it is LPIPS."""

    name: str
    digest: str
    lpips: bool

    @abstractmethod
    def measured_from(self, x_0: Tensor) -> Callable[[Tensor], Tensor]:
        """What tells the distances (B,) of images (B, 3, H, W) from x_0 (B, 3, H, W), all in [-1, 1]."""


class EncoderDistance(Distance):
    """1 - cos of an encoder's embeddings."""

    lpips = False

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.name = f"1 - cos of {encoder.name}"
        self.digest = sha256(f"1 - cos {encoder.digest}".encode()).hexdigest()

    def measured_from(self, x_0: Tensor) -> Callable[[Tensor], Tensor]:
        vectors = self.encoder.images(x_0)
        return lambda x: 1 - (self.encoder.images(x) * vectors).sum(dim=1)


class LpipsDistance(Distance):
    """LPIPS with AlexNet, for which the thresholds were published."""

    name, lpips = "LPIPS (AlexNet)", True

    def __init__(self, module: Lpips) -> None:
        self.module = module
        self.digest = module.digest()

    def measured_from(self, x_0: Tensor) -> Callable[[Tensor], Tensor]:
        features = self.module.maps(x_0)
        return lambda x: self.module.between(self.module.maps(x), features)


def perceptual_distance(
    encoder: Encoder | None, lpips: Sequence[Path] = (), device: torch.device | str = "cpu"
) -> Distance:
    """LPIPS by the weights in those files or folders where any are given, else the encoder's distance.

    Raises UsageError where there is neither, and as `read_lpips` does.
    """
    if lpips:
        return LpipsDistance(read_lpips(lpips).to(device))
    if encoder is None:
        raise UsageError("a perceptual distance takes an encoder, or the weights of LPIPS")
    return EncoderDistance(encoder)
