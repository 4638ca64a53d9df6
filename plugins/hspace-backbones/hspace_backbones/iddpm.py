"""iDDPM: Nichol and Dhariwal's U-Nets, and those of ILVR and P2 weighting in ADM's lighter form."""

from pathlib import Path

import torch

from hspace import Backbone
from hspace.schedule import alphas_cumprod
from hspace_backbones import openai_family


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone | None:
    """The iDDPM in a folder, or None when its card names none.

    Raises RefusedError when it does, but the folder is damaged or without its schedule.
    """
    return openai_family.load_folder("iddpm", folder, device, dtype)


def tiny(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """An iDDPM with random weights: four heads at every width, a cosine schedule of 4000 rescaled timesteps."""
    changed = {"attention_resolutions": (2, 4), "num_heads": 4}
    alphas = alphas_cumprod("squaredcos_cap_v2", 4000)
    return openai_family.tiny(changed, alphas, device, dtype, timestep_scale=0.25)
