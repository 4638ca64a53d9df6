"""From tensors of any size to what an open_clip model sees, differentiably."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hspace.errors import RefusedError


@dataclass(frozen=True)
class Preprocess:
    """open_clip's evaluation transform: resize the shorter side, crop the middle, subtract the mean, divide."""

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"

    def __call__(self, x: Tensor) -> Tensor:
        """The images (B, 3, H, W) in [-1, 1] as (B, 3, *size), in the model's own range."""
        x = _clamped((x.float() + 1) / 2)
        height, width = self._resized(*x.shape[-2:])
        # As PIL does: first across, then down, and no pass may leave what a byte can hold.
        x = self._stretched(x, (x.shape[-2], width))
        x = _crop(self._stretched(x, (height, width)), self.size)
        mean, std = (torch.tensor(one, device=x.device)[:, None, None] for one in (self.mean, self.std))
        return (x - mean) / std

    def _stretched(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if size == tuple(x.shape[-2:]):
            return x
        return _clamped(interpolate(x, size, mode=self.interpolation, antialias=True, align_corners=False))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        tall, wide = self.size
        if self.resize_mode == "squash":
            return tall, wide
        if height <= width:
            return tall, int(tall * width / height)
        return int(tall * height / width), tall


def read_preprocess(config: Mapping[str, Any]) -> Preprocess:
    """The transform that open_clip's `preprocess_cfg` describes.

    Raises RefusedError for one that open_clip knows and this one does not: padding, another kernel, not square.
    """
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    kind, mode = config.get("interpolation", "bicubic"), config.get("resize_mode", "shortest")
    if (
        kind not in ("bicubic", "bilinear")
        or mode not in ("shortest", "squash")
        or (height != width and mode != "squash")
    ):
        raise RefusedError(
            f"this model wants {height}x{width} pictures resized by {kind!r} with resize mode {mode!r}; "
            f"hspace-clip resizes by 'bicubic' or 'bilinear', to squares by 'shortest', and by 'squash'"
        )
    return Preprocess((height, width), tuple(config["mean"]), tuple(config["std"]), kind, mode)


def _clamped(x: Tensor) -> Tensor:
    """x within [0, 1], with the gradient of x itself: a picture past white must still be pulled back."""
    return x + (x.clamp(0, 1) - x).detach()


def _crop(x: Tensor, size: Sequence[int]) -> Tensor:
    top, left = (round((have - want) / 2.0) for have, want in zip(x.shape[-2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]
