"""How heads start: the same for a seed, with no edit or a tiny one, and with a gradient that training can use."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Head
from hspace_heads import delta_block, transformer

from .states import H_SHAPE, TEMB_DIM, state

STATE = state(24)
GENERATOR = torch.Generator().manual_seed(5)
MAP = torch.randn(8, 8, generator=GENERATOR) / 8**0.5
TARGET = torch.einsum("cd,ndhw->nchw", MAP, STATE.h)
"""A known map h -> delta_h."""
ENCODER = torch.randn(48, 16, generator=GENERATOR) / 48**0.5
TEXT = normalize(torch.randn(16, generator=GENERATOR), dim=0)
TOKENS = ("pixel", "channel", "pixel-channel", "channel-pixel")
CASES = [("delta-block", {"form": form}) for form in ("pesser", "openai")]
CASES += [("transformer", {"form": form, "tokens": t}) for form in ("pre-norm", "reproduction") for t in TOKENS]
every_head = pytest.mark.parametrize(("name", "config"), CASES, ids=["-".join(c.values()) for _, c in CASES])


def make(name: str, config: dict[str, Any], **more: Any) -> Head:
    shared = {"norm_num_groups": 4, **config, **more}
    if name == "delta-block":
        return delta_block.build(H_SHAPE, TEMB_DIM, **shared)
    return transformer.build(H_SHAPE, TEMB_DIM, heads=2, feed_forward=32, **shared)


def gradient_norm(head: Head, loss: Tensor) -> float:
    found = torch.autograd.grad(loss, list(head.parameters()), allow_unused=True)
    return float(torch.stack([one.square().sum() for one in found if one is not None]).sum().sqrt())


def squared(delta_h: Tensor) -> Tensor:
    return (delta_h - TARGET).square().mean()


def directional(delta_h: Tensor) -> Tensor:
    """1 - cos between what an encoder sees of the edit and a text, normalised as the released Asyrp code does."""
    seen = delta_h.flatten(1) @ ENCODER
    return 1 - (seen / (seen.norm(dim=1, keepdim=True) + 1e-7) @ TEXT).mean()


@every_head
def test_a_new_head_edits_nothing_and_has_a_gradient_of_ordinary_size(name: str, config: dict[str, Any]) -> None:
    head = make(name, config)
    delta_h = head(STATE)
    assert torch.equal(delta_h, torch.zeros_like(delta_h))
    assert 0.05 < gradient_norm(head, squared(delta_h)) < 1


@every_head
def test_a_small_start_is_bounded_where_no_edit_at_all_makes_the_gradient_explode(
    name: str, config: dict[str, Any]
) -> None:
    nothing, small = make(name, config), make(name, config, init="small")
    assert gradient_norm(nothing, directional(nothing(STATE))) > 1e6
    delta_h = small(STATE)
    assert 0 < float(delta_h.detach().square().mean().sqrt()) <= 0.0101
    assert gradient_norm(small, directional(delta_h)) < 200


@every_head
def test_a_few_steps_learn_a_planted_map(name: str, config: dict[str, Any]) -> None:
    head = make(name, config)
    before = float(squared(head(STATE)).detach())
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        squared(head(STATE)).backward()
        optimiser.step()
    assert float(squared(head(STATE)).detach()) < 0.75 * before


@every_head
def test_a_seed_fixes_the_start_and_leaves_the_generator_alone(name: str, config: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    one, same, other = (make(name, config, init="random", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_the_published_start_is_torchs_own() -> None:
    torch.manual_seed(3)
    convolution = torch.nn.Conv2d(8, 8, 1)
    assert torch.equal(
        make("delta-block", {}, init="random", seed=3).state_dict()["proj_in.weight"], convolution.weight
    )


def test_a_factor_of_time_starts_near_one() -> None:
    bias = make("delta-block", {"time": "multiply"}).state_dict()["time_proj.bias"]
    assert torch.equal(bias, torch.ones(8))
