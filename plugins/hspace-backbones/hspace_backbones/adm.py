"""ADM: Dhariwal and Nichol's U-Nets, with and without classes."""

from pathlib import Path
from typing import Any

import torch

from hspace import Backbone
from hspace.schedule import alphas_cumprod
from hspace_backbones import openai_family

TINY: dict[str, Any] = {"attention_resolutions": (2, 4), "num_head_channels": 16, "resblock_updown": True}


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone | None:
    """The ADM in a folder, or None when its card names none.

    Raises RefusedError when it does, but the folder is damaged or without its schedule.
    """
    return openai_family.load_folder("adm", folder, device, dtype)


def tiny(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """An ADM with random weights, the same at every call."""
    return openai_family.tiny(TINY, alphas_cumprod(), device, dtype)


def tiny_conditional(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """An ADM with random weights for ten classes; `bind(label=...)` says which."""
    return openai_family.tiny({**TINY, "num_classes": 10}, alphas_cumprod(), device, dtype)
