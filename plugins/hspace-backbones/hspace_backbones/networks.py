"""diffusers networks with what their constructors cannot say mended after building."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from diffusers import AutoencoderKL, UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from hspace.errors import RefusedError

LARGEST = 2**14
"""More channels or heads than any network here has; a card that asks for more is not believed."""


@dataclass(frozen=True)
class Mends:
    """What is set after building, and kept in our card because a diffusers config cannot hold it.

    `num_heads`: the heads of every attention of a U-Net, whatever its width. `time_channels`: the width of the
    sinusoids, where the first level has another. `conv_in_channels`: the channels after the first convolution, where
    the first level has others. `embed_dim`: the channels of an AutoencoderKL's latents, where
    its encoder has another number.
    """

    num_heads: int | None = None
    time_channels: int | None = None
    conv_in_channels: int | None = None
    embed_dim: int | None = None

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Mends":
        """The mends among the facts of a card. Raises RefusedError for one that is not a reasonable number."""
        found = {field.name: facts[field.name] for field in fields(cls) if facts.get(field.name) is not None}
        for name, value in found.items():
            if type(value) is not int or not 0 < value <= LARGEST:
                raise RefusedError(f"{name} in the card must be a number from 1 to {LARGEST}; it is {value!r}")
        return cls(**found)

    def facts(self) -> dict[str, int]:
        """Those that are set, for a card."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def apply(self, network: nn.Module) -> None:
        """Mends a network; its weights are to be loaded afterwards."""
        if self.num_heads is not None:
            set_heads(network, self.num_heads)
        if self.time_channels is not None:
            set_time_channels(network, self.time_channels)
        if self.conv_in_channels is not None:
            set_conv_in_channels(network, self.conv_in_channels)
        if self.embed_dim is not None:
            set_embed_dim(network, self.embed_dim)


def set_heads(network: nn.Module, num_heads: int) -> None:
    """Gives every attention of a network that many heads; its weights have no axis of heads, so they stay."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.heads = module.sliceable_head_dim = num_heads
            module.scale = (module.inner_dim // num_heads) ** -0.5


def set_time_channels(unet: UNet2DModel, channels: int) -> None:
    """Widens a U-Net's sinusoids to that many channels, with a new time embedding behind them."""
    width = unet.time_embedding.linear_2.out_features
    unet.time_proj = Timesteps(channels, unet.config.flip_sin_to_cos, unet.config.freq_shift)
    unet.time_embedding = TimestepEmbedding(channels, width)


def set_conv_in_channels(network: Any, channels: int) -> None:
    """Gives a network that many channels after its first convolution, where its first and last blocks read them."""
    encoder = getattr(network, "encoder", network)
    more = channels - encoder.conv_in.out_channels
    encoder.conv_in = nn.Conv2d(encoder.conv_in.in_channels, channels, 3, padding=1)
    readers = [encoder.down_blocks[0].resnets, *([network.up_blocks[-1].resnets] if encoder is network else [])]
    for resnets, index in zip(readers, (0, -1), strict=False):
        resnets[index] = _resnet_like(resnets[index], resnets[index].in_channels + more)


def _resnet_like(resnet: ResnetBlock2D, in_channels: int) -> ResnetBlock2D:
    temb = None if resnet.time_emb_proj is None else resnet.time_emb_proj.in_features
    norm = resnet.norm1
    return ResnetBlock2D(
        in_channels=in_channels,
        out_channels=resnet.out_channels,
        temb_channels=temb,
        groups=norm.num_groups,
        eps=norm.eps,
        dropout=resnet.dropout.p,
        time_embedding_norm=resnet.time_embedding_norm,
    )


def set_embed_dim(first_stage: AutoencoderKL, embed_dim: int) -> None:
    """Lets an AutoencoderKL's latents have that many channels, with new 1x1 convolutions around them."""
    z = first_stage.config.latent_channels
    first_stage.quant_conv = nn.Conv2d(2 * z, 2 * embed_dim, 1)
    first_stage.post_quant_conv = nn.Conv2d(embed_dim, z, 1)


def build(cls: type[Any], config: dict[str, Any], mends: Mends) -> Any:
    """A network of that diffusers class, mended, in eval mode, its weights still to be loaded."""
    network = cls.from_config(config)
    mends.apply(network)
    return network.eval()
