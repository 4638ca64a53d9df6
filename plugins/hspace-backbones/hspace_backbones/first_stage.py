"""Latent diffusion's first stages, VQModel and AutoencoderKL, in diffusers' names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL, VQModel

from hspace.errors import UsageError
from hspace_backbones.arguments import FirstStageArguments
from hspace_backbones.layers import Layer, attention, resnet
from hspace_backbones.networks import Mends
from hspace_backbones.pesser import NAMES

CLASSES: dict[str, type[Any]] = {"VQModelInterface": VQModel, "VQModel": VQModel, "AutoencoderKL": AutoencoderKL}
NEUTRAL = {
    "give_pre_end": False,
    "resamp_with_conv": True,
    "tanh_out": False,
    "use_linear_attn": False,
}


@dataclass(frozen=True)
class FirstStage:
    """A first stage as its official configuration describes it; `codes` is None where it does not quantise."""

    cls: type[Any]
    args: FirstStageArguments
    embed_dim: int
    codes: int | None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "FirstStage":
        """The first stage of a mapping with `class`, `ddconfig`, `embed_dim` and, for a VQModel, `n_embed`.

        Raises UsageError for one that is lacking, unknown, or contradicts another.
        """
        lacking = [name for name in ("class", "ddconfig", "embed_dim") if name not in given]
        if lacking:
            raise UsageError(f"first_stage lacks {', '.join(lacking)}")
        name = str(given["class"]).rpartition(".")[2]
        if name not in CLASSES:
            raise UsageError(f"first_stage's class must be one of {', '.join(CLASSES)}; {given['class']!r} was given")
        kind, args = CLASSES[name], FirstStageArguments.read(given["ddconfig"], NEUTRAL)
        if args.attn_type not in ("vanilla", "none"):
            raise UsageError(f"attn_type must be 'vanilla' or 'none'; {args.attn_type!r} was given")
        if args.double_z != (kind is AutoencoderKL):
            raise UsageError(f"double_z = {args.double_z} does not go with {name}")
        codes = given.get("n_embed") if kind is VQModel else None
        if kind is VQModel and not isinstance(codes, int):
            raise UsageError(f"n_embed must be the number of codes of a {name}; {codes!r} was given")
        return cls(kind, args, given["embed_dim"], codes)

    def config(self, norm_num_groups: int = 32) -> dict[str, Any]:
        """diffusers' constructor arguments, as far as they can say it; `mends` says the rest."""
        args = self.args
        quantised = {"num_vq_embeddings": self.codes, "vq_embed_dim": self.embed_dim} if self.codes else {}
        return {
            "in_channels": args.in_channels,
            "out_channels": args.out_ch,
            "down_block_types": tuple(
                "AttnDownEncoderBlock2D" if one else "DownEncoderBlock2D" for one in _attends(args)
            ),
            "up_block_types": tuple(
                "AttnUpDecoderBlock2D" if one else "UpDecoderBlock2D" for one in reversed(_attends(args))
            ),
            "block_out_channels": tuple(_widths(args)),
            "layers_per_block": args.num_res_blocks,
            "latent_channels": args.z_channels,
            "sample_size": args.resolution,
            "norm_num_groups": norm_num_groups,
            "mid_block_add_attention": args.attn_type == "vanilla",
            "scaling_factor": 1.0,
            **quantised,
        }

    def mends(self) -> Mends:
        """What they cannot say: a first level wider than the first convolution, latents unlike the encoder's."""
        first = None if _widths(self.args)[0] == self.args.ch else self.args.ch
        embed_dim = None if self.codes or self.embed_dim == self.args.z_channels else self.embed_dim
        return Mends(conv_in_channels=first, embed_dim=embed_dim)

    def layers(self) -> Iterator[Layer]:
        """Every layer of the first stage."""
        z, twice = self.args.z_channels, 1 + self.args.double_z
        yield from _encoder(self.args)
        yield from _decoder(self.args)
        if self.codes:
            yield Layer("quantize.embedding", "quantize.embedding", (self.codes, self.embed_dim), bias=False)
        yield Layer("quant_conv", "quant_conv", (twice * self.embed_dim, twice * z, 1, 1))
        yield Layer("post_quant_conv", "post_quant_conv", (z, self.embed_dim, 1, 1))


def _widths(args: FirstStageArguments) -> list[int]:
    return [int(args.ch * mult) for mult in args.ch_mult]


def _attends(args: FirstStageArguments) -> list[bool]:
    sizes = [args.resolution // 2**level for level in range(len(args.ch_mult))]
    return [args.attn_type == "vanilla" and size in args.attn_resolutions for size in sizes]


def _encoder(args: FirstStageArguments) -> Iterator[Layer]:
    width, widths = args.ch, _widths(args)
    yield Layer("encoder.conv_in", "encoder.conv_in", (width, args.in_channels, 3, 3))
    for level, after in enumerate(widths):
        theirs, ours = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        for j in range(args.num_res_blocks):
            yield from resnet(NAMES, f"{theirs}.block.{j}", f"{ours}.resnets.{j}", (width, after), None)
            width = after
            if _attends(args)[level]:
                yield from attention(NAMES, f"{theirs}.attn.{j}", f"{ours}.attentions.{j}", width)
        if level < len(widths) - 1:
            yield Layer(f"{theirs}.downsample.conv", f"{ours}.downsamplers.0.conv", (width, width, 3, 3))
    yield from _middle(args, "encoder", width)
    yield Layer("encoder.norm_out", "encoder.conv_norm_out", (width,))
    yield Layer("encoder.conv_out", "encoder.conv_out", ((1 + args.double_z) * args.z_channels, width, 3, 3))


def _middle(args: FirstStageArguments, half: str, width: int) -> Iterator[Layer]:
    theirs, ours = f"{half}.mid", f"{half}.mid_block"
    yield from resnet(NAMES, f"{theirs}.block_1", f"{ours}.resnets.0", (width, width), None)
    if args.attn_type == "vanilla":
        yield from attention(NAMES, f"{theirs}.attn_1", f"{ours}.attentions.0", width)
    yield from resnet(NAMES, f"{theirs}.block_2", f"{ours}.resnets.1", (width, width), None)


def _decoder(args: FirstStageArguments) -> Iterator[Layer]:
    widths = _widths(args)
    width = widths[-1]
    yield Layer("decoder.conv_in", "decoder.conv_in", (width, args.z_channels, 3, 3))
    yield from _middle(args, "decoder", width)
    for level in reversed(range(len(widths))):
        theirs, ours = f"decoder.up.{level}", f"decoder.up_blocks.{len(widths) - 1 - level}"
        for j in range(args.num_res_blocks + 1):
            yield from resnet(NAMES, f"{theirs}.block.{j}", f"{ours}.resnets.{j}", (width, widths[level]), None)
            width = widths[level]
            if _attends(args)[level]:
                yield from attention(NAMES, f"{theirs}.attn.{j}", f"{ours}.attentions.{j}", width)
        if level > 0:
            yield Layer(f"{theirs}.upsample.conv", f"{ours}.upsamplers.0.conv", (width, width, 3, 3))
    yield Layer("decoder.norm_out", "decoder.conv_norm_out", (width,))
    yield Layer("decoder.conv_out", "decoder.conv_out", (args.out_ch, width, 3, 3))
