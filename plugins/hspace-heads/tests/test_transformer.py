"""The transformer: the reproduction's form composed by hand, its published sizes, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hspace import State
from hspace.errors import UsageError
from hspace_heads.transformer import TransformerHead, build

from .states import H_SHAPE, TEMB_DIM, state

SMALL: dict[str, Any] = {"heads": 2, "feed_forward": 32, "norm_num_groups": 4, "init": "random"}


def layers(head: TransformerHead, place: str, width: int, count: int) -> nn.Sequential:
    """torch's encoder layers and a LayerNorm, in a row, with the weights of one of the head's encoders."""
    stack = nn.Sequential(
        *(nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True) for _ in range(count)),
        nn.LayerNorm(width),
    )
    weights = {
        name.removeprefix(f"{place}.encoder.").removeprefix("layers.").replace("norm.", f"{count}.", 1)
        if name.startswith(f"{place}.encoder.norm")
        else name.removeprefix(f"{place}.encoder.layers."): weight
        for name, weight in head.state_dict().items()
        if name.startswith(f"{place}.encoder.")
    }
    stack.load_state_dict(weights)
    return stack


def by_hand(head: TransformerHead, kinds: list[str], given: State, count: int) -> Tensor:
    """The reproduction's delta_h from torch's own layers, flattening and restoring h as it does."""
    n, channels, height, width = given.h.shape
    assert given.temb is not None
    weights = head.state_dict()

    def through(z: Tensor, side: str) -> Tensor:
        for index, kind in enumerate(kinds):
            rows = z.reshape(n, channels, height * width)
            if kind == "pixel":
                stack = layers(head, f"{side}.{index}", channels, count)
                z = stack(rows.permute(0, 2, 1)).permute(0, 2, 1).reshape(z.shape)
            else:
                z = layers(head, f"{side}.{index}", height * width, count)(rows).reshape(z.shape)
        return z

    z = through(given.h, "encoder_in")
    z = z + F.linear(F.silu(given.temb), weights["time_proj.weight"], weights["time_proj.bias"])[:, :, None, None]
    z = F.silu(F.group_norm(z, 4, weights["norm.weight"], weights["norm.bias"], 1e-6))
    return through(z, "encoder_out")


@pytest.mark.parametrize("tokens", ["pixel", "channel", "pixel-channel", "channel-pixel"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_reproductions_form_is_torchs_encoder_layers_composed_by_hand(tokens: Any, count: int) -> None:
    head = build(H_SHAPE, TEMB_DIM, form="reproduction", tokens=tokens, layers=count, **SMALL)
    given = state()
    torch.testing.assert_close(head(given), by_hand(head, tokens.split("-"), given, count), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "count"),
    [("pixel", 6_570_496), ("channel", 826_240), ("pixel-channel", 7_133_056), ("channel-pixel", 7_133_056)],
)
def test_the_reproductions_form_has_its_parameter_counts(tokens: Any, count: int) -> None:
    head = build((512, 8, 8), 512, form="reproduction", tokens=tokens)
    assert sum(weight.numel() for weight in head.parameters()) == count


def test_feed_forward_is_the_width_inside_the_encoders() -> None:
    for width in (1, 7, 33, 2048):
        head = build(H_SHAPE, TEMB_DIM, **{**SMALL, "feed_forward": width})
        assert head.state_dict()["encoder_in.0.encoder.0.mlp.fc1.weight"].shape == (width, 8)


def test_permuting_the_positions_permutes_the_shift() -> None:
    head = build(H_SHAPE, TEMB_DIM, form="reproduction", **SMALL)
    given = state()
    turned = State(given.x_t, given.t, given.h.flip(3), given.temb)
    torch.testing.assert_close(head(turned), head(given).flip(3))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tokens": "patch"}, "transformer takes tokens = pixel, channel, pixel-channel, channel-pixel; 'patch'"),
        ({"form": "post-norm"}, "transformer takes form = pre-norm, reproduction; 'post-norm' was given"),
        ({"heads": 3}, "heads must divide the 8 channels of h, the width of a pixel's token, as 1, 2, 4, 8 do"),
        ({"tokens": "channel", "heads": 4}, "heads must divide the 6 positions of h, .* as 1, 2, 3, 6 do; 4 was"),
        ({"tokens": "pixel-channel", "heads": 4}, "heads must divide the 6 positions of h"),
        ({"layers": 0}, "transformer takes layers = a whole number from 1; 0 was given"),
        ({"heads": "two"}, "transformer takes heads = a whole number from 1; 'two' was given"),
        ({"norm_num_groups": 3}, "norm_num_groups must divide the 8 channels of h, as 1, 2, 4, 8 do"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(H_SHAPE, TEMB_DIM, **{**SMALL, **config})
