"""LDM: Rombach et al.'s unconditional latent diffusion models."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, VQModel

from hspace import Backbone
from hspace.cards import Card
from hspace.errors import RefusedError
from hspace.schedule import alphas_cumprod
from hspace.zoo import CARD_FILE
from hspace_backbones.first_stage import FirstStage
from hspace_backbones.folders import read_network, read_schedule, read_unet
from hspace_backbones.latent import LatentUNet
from hspace_backbones.layout import CONFIG, family, first_stage_folder, read_json
from hspace_backbones.networks import Mends, build
from hspace_backbones.openai_family import random_unet

CLASSES: dict[str, type[Any]] = {"VQModel": VQModel, "AutoencoderKL": AutoencoderKL}
DDCONFIG = {
    "double_z": False,
    "z_channels": 3,
    "resolution": 32,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 16,
    "ch_mult": (1, 2, 2),
    "num_res_blocks": 1,
    "attn_resolutions": (),
}
UNET = {
    "image_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 16,
    "channel_mult": (1, 2),
    "num_res_blocks": 1,
    "attention_resolutions": (2,),
    "num_head_channels": 16,
}


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone | None:
    """The LDM in a folder of ours or in the hub's layout, or None when it has no first stage.

    Raises RefusedError when it has one, but is damaged or without its schedule.
    """
    facts, place = read_json(folder / CARD_FILE), first_stage_folder(folder)
    if family(folder) != "ldm":
        return None
    if place is None:
        raise RefusedError(f"{folder} has no first stage: there is no first_stage/{CONFIG}")
    unet = read_unet(folder, dtype, Mends.read(facts)).to(device)
    first_stage, scale = _first_stage(place, dtype, facts)
    alphas, prediction_type = read_schedule(folder)
    backbone = LatentUNet(unet, first_stage.to(device), alphas, scale, prediction_type)
    x_shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    told = {"family": "ldm", "x_shape": x_shape, "h_site": "mid.out"}
    backbone.card = Card(folder.resolve().name, "hspace_backbones.ldm:load", "an LDM folder", facts=told)
    return backbone


def _first_stage(place: Path, dtype: torch.dtype | None, facts: dict[str, Any]) -> tuple[Any, float]:
    """The first stage and the scale of its latents.

    A VQModel's is 1 whatever its config says: the default there, 0.18215, is another model's.
    """
    name = read_json(place / CONFIG).get("_class_name")
    if name not in CLASSES:
        raise RefusedError(f"the first stage in {place} must be one of {', '.join(CLASSES)}; it is {name!r}")
    first_stage = read_network(CLASSES[name], place, dtype, Mends.read(facts.get("first_stage", {})))
    default = 1.0 if name == "VQModel" else first_stage.config.scaling_factor
    return first_stage, float(facts.get("scale_factor", default))


def tiny(device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """An LDM with random weights, the same at every call: 32 px pictures, x_0 (3, 8, 8), h (32, 4, 4)."""
    unet = random_unet(UNET)
    first = FirstStage.read({"class": "VQModelInterface", "ddconfig": DDCONFIG, "embed_dim": 3, "n_embed": 64})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first_stage = build(first.cls, first.config(norm_num_groups=8), first.mends())
    to: dict[str, Any] = {"device": device} if dtype is None else {"device": device, "dtype": dtype}
    schedule = alphas_cumprod("scaled_linear", 1000, 0.0015, 0.0195)
    return LatentUNet(unet.to(**to), first_stage.to(**to), schedule)
