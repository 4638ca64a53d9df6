"""The pesser layout of DDPM++ checkpoints (SDEdit, Asyrp, pytorch_diffusion) as a diffusers UNet2DModel."""

import re
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor

from hspace_backbones.ddpmpp import FACTS

_TOP = {
    "temb.dense.0": "time_embedding.linear_1",
    "temb.dense.1": "time_embedding.linear_2",
    "norm_out": "conv_norm_out",
}
_MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
_RESNET = {"temb_proj": "time_emb_proj", "nin_shortcut": "conv_shortcut"}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def unet_config(args: dict[str, Any], norm_num_groups: int = 32) -> dict[str, Any]:
    """UNet2DModel's arguments for the official constructor's `args` (ch, ch_mult, num_res_blocks, ...)."""
    levels = len(args["ch_mult"])
    attends = [args["resolution"] // 2**level in args["attn_resolutions"] for level in range(levels)]
    return {
        "sample_size": args["resolution"],
        "in_channels": args["in_channels"],
        "out_channels": args["out_ch"],
        "block_out_channels": tuple(args["ch"] * mult for mult in args["ch_mult"]),
        "layers_per_block": args["num_res_blocks"],
        "down_block_types": tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in attends),
        "up_block_types": tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(attends)),
        "dropout": args.get("dropout", 0.0),
        "norm_num_groups": norm_num_groups,
        **FACTS,
    }


def convert(weights: dict[str, Tensor], args: dict[str, Any], norm_num_groups: int = 32) -> UNet2DModel:
    """The UNet2DModel of a pesser state dict; strict, so a missing or left-over tensor raises RuntimeError."""
    unet = UNet2DModel(**unet_config(args, norm_num_groups))
    shapes = {name: tensor.shape for name, tensor in unet.state_dict().items()}
    renamed = {rename(name, len(args["ch_mult"])): tensor for name, tensor in weights.items()}
    # 1x1 convolutions of the attention are linear layers in diffusers
    unet.load_state_dict({name: t.reshape(shapes[name]) if name in shapes else t for name, t in renamed.items()})
    return unet


def rename(name: str, levels: int) -> str:
    """diffusers' name of a parameter of a pesser state dict with that many levels; its up path counts from below."""
    path, _, kind = name.rpartition(".")
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(block|attn)\.(\d+)\.(\w+)", path):
        way, level, part, index, layer = found.groups()
        level = int(level) if way == "down" else levels - 1 - int(level)
        return f"{way}_blocks.{level}.{_inside(part, index, layer)}.{kind}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(?:down|up)sample\.conv", path):
        way, level = found.group(1), int(found.group(2))
        level = level if way == "down" else levels - 1 - level
        return f"{way}_blocks.{level}.{way}samplers.0.conv.{kind}"
    if found := re.fullmatch(r"mid\.(block_1|attn_1|block_2)\.(\w+)", path):
        part, layer = found.groups()
        names = _ATTENTION if part == "attn_1" else _RESNET
        return f"mid_block.{_MIDDLE[part]}.{names.get(layer, layer)}.{kind}"
    return f"{_TOP.get(path, path)}.{kind}"


def _inside(part: str, index: str, layer: str) -> str:
    if part == "attn":
        return f"attentions.{index}.{_ATTENTION[layer]}"
    return f"resnets.{index}.{_RESNET.get(layer, layer)}"
