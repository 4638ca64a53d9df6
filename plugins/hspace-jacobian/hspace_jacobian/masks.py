"""A mask: the part of a picture that a map is restricted to."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from hspace.errors import UsageError
from hspace.images import open_image


def read_mask(path: Path, height: int, width: int) -> Tensor:
    """(1, 1, height, width) of 0 and 1 from a picture: 1 where it is brighter than half.

    A picture of another size is resized by the mean over each place, with a warning that says so. Raises UsageError
    where nothing or everything is left, and what `open_image` raises for a file that is no picture.
    """
    picture = open_image(path)
    light = torch.from_numpy(np.asarray(picture.convert("L"), dtype=np.float32)) > 127.5
    if picture.size != (width, height):
        message = f"{path} is {picture.width}x{picture.height}; it is used at {width}x{height}, the size of x_t"
        warnings.warn(message, stacklevel=2)
    return checked(interpolate(light[None, None].float(), (height, width), mode="area") > 0.5, str(path))


def checked(mask: Tensor, name: str = "the mask") -> Tensor:
    """A mask (1, 1, H, W) as 0 and 1 in float32. Raises UsageError where it selects nothing or everything."""
    selected = mask != 0
    if not bool(selected.any()):
        raise UsageError(f"{name} selects nothing; a mask is white where it selects, and needs more than a dot")
    if bool(selected.all()):
        raise UsageError(f"{name} selects everything; leave it out for the whole picture")
    return selected.float()


def mask_picture(mask: Tensor, scale: int = 1) -> Image.Image:
    """The picture of a mask (1, 1, H, W), `scale` times as large, as `read_mask` reads it."""
    grey = (mask[0, 0] != 0).to(torch.uint8).mul(255).cpu().numpy()
    picture = Image.fromarray(grey)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
