"""The openai layout of U-Nets (iDDPM, ADM, P2, latent diffusion) as a diffusers UNet2DModel."""

from collections.abc import Generator, Iterator
from typing import Any

from hspace_backbones.arguments import OpenaiArguments
from hspace_backbones.layers import Layer, Names, attention, resnet
from hspace_backbones.networks import Mends

NAMES = Names(
    "in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection", "qkv", (1,)
)
NEUTRAL = {
    "conv_resample": True,
    "context_dim": None,
    "dims": 2,
    "legacy": True,
    "n_embed": None,
    "num_heads_upsample": -1,
    "transformer_depth": 1,
    "use_checkpoint": ...,  # how it was trained, and in what precision
    "use_fp16": ...,
    "use_spatial_transformer": False,
}
"""Further arguments of the official constructors that change nothing, as long as they are so; some in any setting."""
FACTS: dict[str, Any] = {
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "norm_eps": 1e-5,
    "downsample_padding": 1,
}
"""What sets the openai layout apart from DDPM++; a wrong one of these loads silently."""


def unet_config(args: OpenaiArguments, norm_num_groups: int = 32) -> dict[str, Any]:
    """UNet2DModel's arguments for the official constructor's, as far as they can say it; `mends` says the rest."""
    down, up = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if args.resblock_updown else _CONV
    resampling = "resnet" if args.resblock_updown else "conv"
    return {
        "sample_size": args.image_size,
        "in_channels": args.in_channels,
        "out_channels": args.out_channels,
        "block_out_channels": tuple(args.widths),
        "time_embedding_dim": 4 * args.model_channels,
        "layers_per_block": args.num_res_blocks,
        "down_block_types": tuple("AttnDownBlock2D" if one else down for one in args.attends),
        "up_block_types": tuple("AttnUpBlock2D" if one else up for one in reversed(args.attends)),
        "downsample_type": resampling,
        "upsample_type": resampling,
        "resnet_time_scale_shift": "scale_shift" if args.use_scale_shift_norm else "default",
        "attention_head_dim": None if args.num_head_channels == -1 else args.num_head_channels,
        "num_class_embeds": args.num_classes,
        "dropout": args.dropout,
        "norm_num_groups": norm_num_groups,
        "attn_norm_num_groups": norm_num_groups,  # else scale-shift drops the middle attention's norm
        **FACTS,
    }


_CONV = ("DownBlock2D", "UpBlock2D")


def mends(args: OpenaiArguments) -> Mends:
    """What UNet2DModel's arguments cannot say: a fixed number of heads, a time embedding of another width."""
    heads = args.num_heads if args.num_head_channels == -1 and args.num_heads > 1 else None
    return Mends(heads, None if args.widths[0] == args.model_channels else args.model_channels)


def layers(args: OpenaiArguments) -> Iterator[Layer]:
    """Every layer of the U-Net, walking the flat input and output blocks."""
    widths, temb = args.widths, 4 * args.model_channels
    yield Layer("time_embed.0", "time_embedding.linear_1", (temb, args.model_channels))
    yield Layer("time_embed.2", "time_embedding.linear_2", (temb, temb))
    if args.num_classes is not None:
        yield Layer("label_emb", "class_embedding", (args.num_classes, temb), bias=False)
    yield Layer("input_blocks.0.0", "conv_in", (widths[0], args.in_channels, 3, 3))
    skips = yield from _down(args)
    yield from _resnet(args, "middle_block.0", "mid_block.resnets.0", widths[-1], widths[-1])
    yield from _attention(args, "middle_block.1", "mid_block.attentions.0", widths[-1])
    yield from _resnet(args, "middle_block.2", "mid_block.resnets.1", widths[-1], widths[-1])
    yield from _up(args, skips)
    yield Layer("out.0", "conv_norm_out", (widths[0],))
    yield Layer("out.2", "conv_out", (args.out_channels, widths[0], 3, 3))


def _resnet(args: OpenaiArguments, official: str, ours: str, before: int, after: int) -> Iterator[Layer]:
    return resnet(NAMES, official, ours, (before, after), 4 * args.model_channels, args.use_scale_shift_norm)


def _attention(args: OpenaiArguments, official: str, ours: str, width: int) -> Iterator[Layer]:
    groups = 1 if args.use_new_attention_order else args.heads(width)
    return attention(NAMES, official, ours, width, groups)


def _resample(args: OpenaiArguments, official: str, ours: str, width: int, conv: str) -> Iterator[Layer]:
    if args.resblock_updown:
        yield from _resnet(args, official, ours, width, width)
    else:
        yield Layer(f"{official}.{conv}", f"{ours}.conv", (width, width, 3, 3))


def _down(args: OpenaiArguments) -> Generator[Layer, None, list[int]]:
    width = args.widths[0]
    skips, index = [width], 1
    for level, after in enumerate(args.widths):
        ours = f"down_blocks.{level}"
        for j in range(args.num_res_blocks):
            yield from _resnet(args, f"input_blocks.{index}.0", f"{ours}.resnets.{j}", width, after)
            if args.attends[level]:
                yield from _attention(args, f"input_blocks.{index}.1", f"{ours}.attentions.{j}", after)
            width = after
            skips.append(width)
            index += 1
        if level < len(args.widths) - 1:
            yield from _resample(args, f"input_blocks.{index}.0", f"{ours}.downsamplers.0", width, "op")
            skips.append(width)
            index += 1
    return skips


def _up(args: OpenaiArguments, skips: list[int]) -> Iterator[Layer]:
    width, index = args.widths[-1], 0
    for level in reversed(range(len(args.widths))):
        ours = f"up_blocks.{len(args.widths) - 1 - level}"
        after, attends = args.widths[level], args.attends[level]
        for j in range(args.num_res_blocks + 1):
            yield from _resnet(args, f"output_blocks.{index}.0", f"{ours}.resnets.{j}", width + skips.pop(), after)
            width = after
            if attends:
                yield from _attention(args, f"output_blocks.{index}.1", f"{ours}.attentions.{j}", width)
            if level > 0 and j == args.num_res_blocks:
                place = f"output_blocks.{index}.{1 + attends}"
                yield from _resample(args, place, f"{ours}.upsamplers.0", width, "conv")
            index += 1
