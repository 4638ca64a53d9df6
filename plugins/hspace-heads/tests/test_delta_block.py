"""The delta-block: the published forms bit for bit, the other options by hand, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hspace.errors import UsageError
from hspace_heads.delta_block import DeltaBlock, build

from .states import H_SHAPE, TEMB_DIM, state

STATE = state()


def made(**config: Any) -> tuple[DeltaBlock, dict[str, Tensor]]:
    """A block with a random start, the norms' weights moved away from 1 and 0, and its weights by name."""
    head = build(H_SHAPE, TEMB_DIM, **{"norm_num_groups": 4, "init": "random", **config})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in head.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return head, head.state_dict()


def conv(z: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return F.conv2d(z, weights[f"{name}.weight"], weights[f"{name}.bias"])


def group_norm(z: Tensor, weights: dict[str, Tensor], name: str, eps: float, groups: int = 4) -> Tensor:
    return F.group_norm(z, groups, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def projected(weights: dict[str, Tensor], temb: Tensor) -> Tensor:
    return F.linear(temb, weights["time_proj.weight"], weights["time_proj.bias"])[:, :, None, None]


def temb() -> Tensor:
    assert STATE.temb is not None
    return STATE.temb


def test_the_pesser_form_is_the_published_one_bit_for_bit() -> None:
    head, w = made(form="pesser")
    z = conv(STATE.h, w, "proj_in") + projected(w, F.silu(temb()))
    assert torch.equal(head(STATE), conv(F.silu(group_norm(z, w, "norm_out", 1e-6)), w, "proj_out"))


def test_the_openai_form_is_the_published_one_bit_for_bit() -> None:
    head, w = made(form="openai")
    z = conv(F.silu(group_norm(STATE.h, w, "norm_in", 1e-5)), w, "proj_in") + projected(w, F.silu(temb()))
    assert torch.equal(head(STATE), conv(F.silu(group_norm(z, w, "norm_out", 1e-5)), w, "proj_out"))


def test_the_published_weights_have_their_names() -> None:
    names = {"proj_in", "time_proj", "norm_out", "proj_out"}
    assert {name.partition(".")[0] for name in made(form="pesser")[1]} == names
    assert {name.partition(".")[0] for name in made(form="openai")[1]} == names | {"norm_in"}


def test_multiply_is_a_product_in_place_of_the_sum() -> None:
    head, w = made(time="multiply")
    z = conv(STATE.h, w, "proj_in") * projected(w, F.silu(temb()))
    assert torch.equal(head(STATE), conv(F.silu(group_norm(z, w, "norm_out", 1e-6)), w, "proj_out"))


def test_adagn_scales_and_shifts_a_norm_without_weights() -> None:
    head, w = made(time="adagn")
    scale, shift = projected(w, temb()).chunk(2, dim=1)
    z = F.group_norm(conv(STATE.h, w, "proj_in"), 4, eps=1e-5) * (1 + scale) + shift
    assert torch.equal(head(STATE), conv(F.silu(z), w, "proj_out"))
    assert not [name for name in w if name.startswith("norm_out")]


def test_without_time_the_timestep_does_not_matter() -> None:
    head, w = made(time="none")
    z = conv(STATE.h, w, "proj_in")
    assert torch.equal(head(STATE), conv(F.silu(group_norm(z, w, "norm_out", 1e-6)), w, "proj_out"))


def test_an_instance_norm_is_torchs() -> None:
    head, w = made(norm="instance")
    z = conv(STATE.h, w, "proj_in") + projected(w, F.silu(temb()))
    normed = F.instance_norm(z, weight=w["norm_out.weight"], bias=w["norm_out.bias"], eps=1e-6)
    torch.testing.assert_close(head(STATE), conv(F.silu(normed), w, "proj_out"))


@pytest.mark.parametrize(("act", "function"), [("gelu", F.gelu), ("relu", F.relu)])
def test_the_activation_is_the_one_asked_for_in_both_places(act: str, function: Any) -> None:
    head, w = made(form="openai", act=act)
    z = conv(function(group_norm(STATE.h, w, "norm_in", 1e-5)), w, "proj_in") + projected(w, F.silu(temb()))
    assert torch.equal(head(STATE), conv(function(group_norm(z, w, "norm_out", 1e-5)), w, "proj_out"))


def test_the_published_sizes_have_the_published_parameter_counts() -> None:
    def count(form: Any, channels: int) -> int:
        return sum(weight.numel() for weight in build((channels, 8, 8), channels, form=form).parameters())

    assert (count("pesser", 512), count("openai", 512), count("openai", 1024)) == (788_992, 790_016, 3_152_896)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"form": "diffusers"}, "delta-block takes form = pesser, openai; 'diffusers' was given"),
        ({"time": "film"}, "takes time = add, multiply, adagn, none; 'film' was given"),
        ({"norm": "layer"}, "takes norm = group, instance; 'layer' was given"),
        ({"act": "glu"}, "takes act = silu, gelu, relu; 'glu' was given"),
        ({"init": "ones"}, "takes init = zero, small, random; 'ones' was given"),
        ({"norm_num_groups": 5}, "norm_num_groups must divide the 8 channels of h, as 1, 2, 4, 8 do; 5 was given"),
        ({"norm_num_groups": 0}, "takes norm_num_groups = a whole number from 1; 0 was given"),
    ],
)
def test_a_delta_block_that_cannot_be_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(H_SHAPE, TEMB_DIM, **{"norm_num_groups": 4, **config})


def test_an_odd_number_of_channels_names_the_option_and_what_would_do() -> None:
    with pytest.raises(UsageError, match="norm_num_groups must divide the 33 channels of h, as 1, 3, 11, 33 do"):
        build((33, 3, 5), TEMB_DIM)
    assert build((33, 3, 5), TEMB_DIM, norm_num_groups=11)
    assert build((33, 3, 5), TEMB_DIM, norm="instance")


def test_a_norm_that_would_leave_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="norm = instance would average over one number of h 8x1x1"):
        build((8, 1, 1), TEMB_DIM, norm="instance")


def test_a_delta_block_without_a_time_embedding_says_how() -> None:
    with pytest.raises(UsageError, match="set time=none"):
        build(H_SHAPE, None, norm_num_groups=4)
    assert build(H_SHAPE, None, norm_num_groups=4, time="none")
