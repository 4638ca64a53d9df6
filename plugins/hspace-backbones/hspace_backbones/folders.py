"""Folders of diffusers models: a zoo's, with `unet/` and `scheduler/`, or an old hub repository's, all in one."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace.errors import RefusedError
from hspace.schedule import alphas_cumprod

UNET_CONFIG = "config.json"
SCHEDULER_CONFIG = "scheduler_config.json"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty when there is no such file. Raises RefusedError when it is not JSON."""
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RefusedError(f"{path} is not JSON: {error}") from error
    return content


def unet_folder(folder: Path) -> Path:
    """Where the folder keeps its U-Net."""
    return folder / "unet" if (folder / "unet").is_dir() else folder


def read_unet(folder: Path, dtype: torch.dtype | None) -> UNet2DModel:
    """The folder's U-Net, strictly loaded from safetensors, in `dtype` (float32 by default).

    Raises RefusedError when the weights are missing, damaged, or not those of the config.
    """
    place = unet_folder(folder)
    try:
        unet, told = UNet2DModel.from_pretrained(
            place,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            low_cpu_mem_usage=False,  # would need accelerate, and saves nothing for models of this size
            torch_dtype=dtype or torch.float32,
        )
    except Exception as error:  # diffusers raises OSError, ValueError, RuntimeError, SafetensorError
        raise RefusedError(f"could not read the U-Net in {place}: {' '.join(str(error).split())}") from error
    wrong = [f"{kind} {sorted(keys)[:3]}" for kind, keys in told.items() if keys]
    if wrong:
        raise RefusedError(f"the weights in {place} are not those of its {UNET_CONFIG}: {'; '.join(wrong)}")
    if not all(bool(weight.isfinite().all()) for weight in unet.parameters()):
        raise RefusedError(f"the weights in {place} hold values that are not finite (NaN or infinity)")
    return unet


def read_schedule(folder: Path) -> tuple[Tensor, str]:
    """alphas_cumprod (T,) float64 and the prediction type of the folder's scheduler config.

    Raises RefusedError when there is none, NotFoundError for an unknown beta schedule.
    """
    config = read_json(folder / "scheduler" / SCHEDULER_CONFIG) or read_json(folder / SCHEDULER_CONFIG)
    if not config:
        raise RefusedError(f"{folder} has no {SCHEDULER_CONFIG}, so its noise schedule is unknown")
    if config.get("trained_betas") is not None:
        alphas = torch.cumprod(1 - torch.tensor(config["trained_betas"], dtype=torch.float64), dim=0)
    else:
        alphas = alphas_cumprod(
            config.get("beta_schedule", "linear"),
            config.get("num_train_timesteps", 1000),
            config.get("beta_start", 1e-4),
            config.get("beta_end", 0.02),
        )
    return alphas, config.get("prediction_type", "epsilon")
