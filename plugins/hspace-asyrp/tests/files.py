"""Files as the official code writes them, with random numbers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace_asyrp.layouts import OPENAI, PESSER

LAYOUTS = {layout.form: layout for layout in (PESSER, OPENAI)}


def block(form: str = "pesser", channels: int = 8, time: int = 12, seed: int = 0) -> dict[str, Tensor]:
    """A delta block's state dict by the official names."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        "proj_in.weight": (channels, channels, 1, 1),
        "proj_out.weight": (channels, channels, 1, 1),
        "time_proj.weight": (channels, time),
    }
    keys = LAYOUTS[form].keys
    return {name: torch.randn(weights.get(ours, (channels,)), generator=generator) for name, ours in keys.items()}


def write(path: Path, content: Any, **options: Any) -> Path:
    """Writes a file with torch."""
    torch.save(content, path, **options)
    return path


def trained(path: Path, **facts: Any) -> Path:
    """A file as a training leaves it: the block, the optimizer and the schedule."""
    return write(path, {"0": block(**facts), "optimizer": {"state": {}}, "scheduler": {"step_size": 20, "gamma": 0.9}})
