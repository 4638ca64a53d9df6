"""Small files as the official Asyrp code writes them, for the tiny backbone."""

from pathlib import Path

import torch
from torch import Tensor

PESSER = {"conv1": "proj_in", "temb_proj": "time_proj", "norm2": "norm_out", "conv2": "proj_out"}
CHANNELS = 32
"""Of the tiny backbone's h."""
TIME = 64
"""Of its temb."""
WINDOW = ("--t-edit", 300)


def block(seed: int = 0, channels: int = CHANNELS) -> dict[str, Tensor]:
    """A delta block's state dict by the official names, with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv1.weight": (channels, channels, 1, 1), "conv2.weight": (channels, channels, 1, 1)}
    shapes["temb_proj.weight"] = (channels, TIME)
    names = [f"{layer}.{part}" for layer in PESSER for part in ("weight", "bias")]
    return {name: torch.randn(shapes.get(name, (channels,)), generator=generator) / 5 for name in names}


def trained(path: Path, **facts: int) -> Path:
    """A file as a training leaves it."""
    torch.save({"0": block(**facts), "optimizer": {"state": {}}, "scheduler": {"gamma": 0.9}}, path)
    return path
