"""Heads under torch.compile and autocast."""

from typing import Any

import pytest
import torch

from hspace import Head
from hspace_heads import delta_block, table, transformer

from .states import H_SHAPE, TEMB_DIM, state

SHARED: dict[str, Any] = {"norm_num_groups": 4, "init": "random"}
HEADS: dict[str, Head] = {
    "pesser": delta_block.build(H_SHAPE, TEMB_DIM, **SHARED),
    "openai-adagn": delta_block.build(H_SHAPE, TEMB_DIM, form="openai", time="adagn", **SHARED),
    "pre-norm": transformer.build(H_SHAPE, TEMB_DIM, tokens="pixel-channel", heads=2, **SHARED),
    "reproduction": transformer.build(H_SHAPE, TEMB_DIM, form="reproduction", heads=2, feed_forward=32, **SHARED),
    "nearest": table.build(H_SHAPE, None, steps=4),
    "linear": table.build(H_SHAPE, None, steps=4, between="linear"),
}
every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def filled(head: Head) -> Head:
    if isinstance(head, table.Table):
        torch.nn.init.normal_(head.vectors, generator=torch.Generator().manual_seed(0))
    return head


@every_head
def test_a_head_is_captured_whole_and_answers_the_same(head: Head) -> None:
    compiled = torch.compile(filled(head), backend="aot_eager", fullgraph=True)
    given = state()
    torch.testing.assert_close(compiled(given), head(given))


@every_head
def test_autocast_to_bfloat16_keeps_the_shift_its_dtype_and_its_gradient(head: Head) -> None:
    given = state()
    exact = filled(head)(given)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = head(given)
    assert rounded.dtype == given.h.dtype
    assert float((rounded - exact).detach().norm() / exact.detach().norm()) < 0.03
    gradients = torch.autograd.grad(rounded.square().sum(), list(head.parameters()))
    assert all(one.dtype == torch.float32 and bool(one.isfinite().all()) for one in gradients)


@every_head
def test_images_and_timesteps_are_evaluated_as_one_batch(head: Head) -> None:
    given = state(12)
    assert given.temb is not None
    together = filled(head)(given)
    for row in range(12):
        one = slice(row, row + 1)
        alone = head(type(given)(given.x_t[one], given.t[one], given.h[one], given.temb[one]))
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)
