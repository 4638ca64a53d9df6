"""Folders of diffusers models: a zoo's, with `unet/` and `scheduler/`, or an old hub repository's, all in one."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hspace.archive import check_archive
from hspace.errors import HspaceError, RefusedError
from hspace.schedule import alphas_cumprod
from hspace.storage import read_tensors
from hspace_backbones.networks import Mends, build

CONFIG = UNET_CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
ARCHIVED = "diffusion_pytorch_model.bin"
FIRST_STAGES = ("first_stage", "vqvae", "vae")
"""Where a first stage may be: our name for it, and the hub's two."""
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


def first_stage_folder(folder: Path) -> Path | None:
    """Where the folder keeps its first stage, None when it has none."""
    return next((folder / name for name in FIRST_STAGES if (folder / name / CONFIG).is_file()), None)


def read_unet(folder: Path, dtype: torch.dtype | None, mends: Mends | None = None) -> UNet2DModel:
    """The folder's U-Net, mended, strictly loaded from safetensors, in `dtype` (float32 by default).

    Raises RefusedError when the weights are missing, damaged, or not those of the config.
    """
    unet: UNet2DModel = read_network(UNet2DModel, unet_folder(folder), dtype, mends)
    return unet


def read_network(cls: type[Any], place: Path, dtype: torch.dtype | None, mends: Mends | None = None) -> Any:
    """The network of that diffusers class in a folder, as `read_unet` reads it."""
    try:
        if mends is not None and mends != Mends():
            network = _mended(cls, place, mends)
            return network if dtype is None else network.to(dtype)
        network, told = _pretrained(cls, place, dtype)
    except HspaceError:
        raise
    except Exception as error:  # diffusers raises OSError, ValueError, RuntimeError, SafetensorError
        what = "U-Net" if cls is UNet2DModel else "first stage"
        raise RefusedError(f"could not read the {what} in {place}: {' '.join(str(error).split())}") from error
    wrong = [f"{kind} {sorted(keys)[:3]}" for kind, keys in told.items() if keys]
    if wrong:
        raise RefusedError(f"the weights in {place} are not those of its {CONFIG}: {'; '.join(wrong)}")
    if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
        raise RefusedError(f"the weights in {place} hold values that are not finite (NaN or infinity)")
    return network


def _pretrained(cls: type[Any], place: Path, dtype: torch.dtype | None) -> tuple[Any, dict[str, Any]]:
    """A network as diffusers reads it, which also knows the old names of the hub's repositories.

    Some of those have torch's archives only: they are looked at first, and diffusers reads nothing but tensors.
    """
    archived = (place / ARCHIVED).is_file() and not list(place.glob("*.safetensors*"))
    if archived:
        check_archive(place / ARCHIVED)
    network, told = cls.from_pretrained(
        place,
        use_safetensors=not archived,
        local_files_only=True,
        output_loading_info=True,
        low_cpu_mem_usage=False,  # would need accelerate, and saves nothing for models of this size
        torch_dtype=dtype or torch.float32,
    )
    return network, told


def _mended(cls: type[Any], place: Path, mends: Mends) -> Any:
    """A network whose config does not say everything, so that diffusers could not load its weights itself."""
    network = build(cls, read_json(place / CONFIG), mends)
    network.load_state_dict(read_tensors(place / WEIGHTS))
    return network


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
