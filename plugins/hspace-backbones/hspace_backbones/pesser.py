"""The pesser layout of DDPM++ checkpoints (SDEdit, Asyrp, pytorch_diffusion) as a diffusers UNet2DModel."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor

from hspace_backbones.arguments import PesserArguments
from hspace_backbones.ddpmpp import FACTS
from hspace_backbones.layers import Layer, Names, attention, resnet
from hspace_backbones.layers import convert as convert_layers
from hspace_backbones.networks import Mends, build

NAMES = Names("norm1", "conv1", "temb_proj", "norm2", "conv2", "nin_shortcut", ("q", "k", "v"), (1, 1))
NEUTRAL = {"resamp_with_conv": True}


def unet_config(args: PesserArguments, norm_num_groups: int = 32) -> dict[str, Any]:
    """UNet2DModel's arguments for the official constructor's, as far as they can say it; `mends` says the rest."""
    attends = _attends(args)
    return {
        "sample_size": args.resolution,
        "in_channels": args.in_channels,
        "out_channels": args.out_ch,
        "block_out_channels": tuple(_widths(args)),
        "time_embedding_dim": 4 * args.ch,
        "layers_per_block": args.num_res_blocks,
        "down_block_types": tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in attends),
        "up_block_types": tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(attends)),
        "dropout": args.dropout,
        "norm_num_groups": norm_num_groups,
        **FACTS,
    }


def mends(args: PesserArguments) -> Mends:
    """What UNet2DModel's arguments cannot say: a first level wider than the first convolution."""
    return Mends() if _widths(args)[0] == args.ch else Mends(time_channels=args.ch, conv_in_channels=args.ch)


def layers(args: PesserArguments) -> Iterator[Layer]:
    """Every layer of the U-Net; its up path counts levels from below, so the last comes first in diffusers."""
    widths, temb = _widths(args), 4 * args.ch
    yield Layer("temb.dense.0", "time_embedding.linear_1", (temb, args.ch))
    yield Layer("temb.dense.1", "time_embedding.linear_2", (temb, temb))
    yield Layer("conv_in", "conv_in", (args.ch, args.in_channels, 3, 3))
    skips = yield from _down(args, widths, temb)
    yield from resnet(NAMES, "mid.block_1", "mid_block.resnets.0", (widths[-1], widths[-1]), temb)
    yield from attention(NAMES, "mid.attn_1", "mid_block.attentions.0", widths[-1])
    yield from resnet(NAMES, "mid.block_2", "mid_block.resnets.1", (widths[-1], widths[-1]), temb)
    yield from _up(args, widths, temb, skips)
    yield Layer("norm_out", "conv_norm_out", (widths[0],))
    yield Layer("conv_out", "conv_out", (args.out_ch, widths[0], 3, 3))


def convert(weights: Mapping[str, Tensor], args: Mapping[str, Any], norm_num_groups: int = 32) -> UNet2DModel:
    """The UNet2DModel of a pesser state dict and the official constructor's `args` (ch, ch_mult, ...).

    Raises UsageError for arguments that are not the constructor's, RefusedError for weights that are not theirs.
    """
    read = PesserArguments.read(args, NEUTRAL)
    unet: UNet2DModel = build(UNet2DModel, unet_config(read, norm_num_groups), mends(read))
    unet.load_state_dict(convert_layers(weights, list(layers(read))))
    return unet


def _widths(args: PesserArguments) -> list[int]:
    return [int(args.ch * mult) for mult in args.ch_mult]


def _attends(args: PesserArguments) -> list[bool]:
    return [args.resolution // 2**level in args.attn_resolutions for level in range(len(args.ch_mult))]


def _down(args: PesserArguments, widths: list[int], temb: int) -> Generator[Layer, None, list[int]]:
    width, skips = args.ch, [args.ch]
    for level, (after, attends) in enumerate(zip(widths, _attends(args), strict=True)):
        theirs, ours = f"down.{level}", f"down_blocks.{level}"
        for j in range(args.num_res_blocks):
            yield from resnet(NAMES, f"{theirs}.block.{j}", f"{ours}.resnets.{j}", (width, after), temb)
            if attends:
                yield from attention(NAMES, f"{theirs}.attn.{j}", f"{ours}.attentions.{j}", after)
            width = after
            skips.append(width)
        if level < len(widths) - 1:
            yield Layer(f"{theirs}.downsample.conv", f"{ours}.downsamplers.0.conv", (width, width, 3, 3))
            skips.append(width)
    return skips


def _up(args: PesserArguments, widths: list[int], temb: int, skips: list[int]) -> Iterator[Layer]:
    width, attends = widths[-1], _attends(args)
    for level in reversed(range(len(widths))):
        theirs, ours = f"up.{level}", f"up_blocks.{len(widths) - 1 - level}"
        for j in range(args.num_res_blocks + 1):
            channels = (width + skips.pop(), widths[level])
            yield from resnet(NAMES, f"{theirs}.block.{j}", f"{ours}.resnets.{j}", channels, temb)
            width = widths[level]
            if attends[level]:
                yield from attention(NAMES, f"{theirs}.attn.{j}", f"{ours}.attentions.{j}", width)
        if level > 0:
            yield Layer(f"{theirs}.upsample.conv", f"{ours}.upsamplers.0.conv", (width, width, 3, 3))
