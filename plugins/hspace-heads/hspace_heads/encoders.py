"""Transformers over the tokens of h: every position a token, or every channel."""

from collections.abc import Sequence

from torch import Tensor, nn

from hspace_heads.options import Tokens, TransformerForm, divides

REPRODUCTION_FEED_FORWARD = 2048


class TokenEncoder(nn.Module):
    """h (B, C, H, W) -> (B, C, H, W) by an encoder over HW tokens of width C, or over C tokens of width HW.

    Positions and channels have no embedding of their own: permuting the tokens permutes what comes back.
    """

    def __init__(self, encoder: nn.Module, by_pixel: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.by_pixel = by_pixel

    def forward(self, h: Tensor) -> Tensor:
        rows = h.flatten(2)  # (B, C, HW)
        tokens: Tensor = self.encoder(rows.mT.contiguous() if self.by_pixel else rows)
        return (tokens.mT if self.by_pixel else tokens).reshape(h.shape)


def token_encoders(
    form: TransformerForm, tokens: Tokens, h_shape: Sequence[int], heads: int, layers: int, feed_forward: int | None
) -> nn.Sequential:
    """The encoders over h of `h_shape` that `tokens` names, one after the other.

    Raises UsageError when `heads` do not divide the width of a token.
    """
    channels, height, width = h_shape
    made = []
    for kind in tokens.split("-"):
        by_pixel = kind == "pixel"
        size = channels if by_pixel else height * width
        what = "channels of h, the width of a pixel's token" if by_pixel else "positions of h, a channel token's width"
        divides("heads", heads, size, what)
        make = _reproduction if form == "reproduction" else _pre_norm
        made.append(TokenEncoder(make(size, heads, layers, feed_forward), by_pixel))
    return nn.Sequential(*made)


def _reproduction(width: int, heads: int, layers: int, feed_forward: int | None) -> nn.Module:
    """The encoder half of nn.Transformer, its start included: post-norm, ReLU, a LayerNorm at the end."""
    layer = nn.TransformerEncoderLayer(
        width, heads, feed_forward or REPRODUCTION_FEED_FORWARD, dropout=0.0, batch_first=True
    )
    encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return encoder


def _pre_norm(width: int, heads: int, layers: int, feed_forward: int | None) -> nn.Module:
    """timm's blocks of the vision transformer (pre-norm, GELU), and a LayerNorm at the end."""
    from timm.models.vision_transformer import Block  # seconds, and torchvision with it

    ratio = ((feed_forward or 4 * width) + 0.5) / width  # timm rounds ratio * width down
    blocks = [Block(width, heads, mlp_ratio=ratio, qkv_bias=True) for _ in range(layers)]
    return nn.Sequential(*blocks, nn.LayerNorm(width))
