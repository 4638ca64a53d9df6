"""A unit for strength: how long a shift of h, or a move of x_t, must be to change pictures by a given amount."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.head import Head
from hspace.sampling import Edit, Move, edit, sample

CHANGE = 0.1
"""What strength 1 does, in this unit: the root mean square change of pictures in [-1, 1]."""
STEPS = 20
"""Sampling steps of a probe; the shift is scaled to them, so that its sum over the window is that of a full run."""
ROUNDS = 2


def units(
    backbone: Backbone,
    heads: Sequence[Head],
    x_T: Tensor,
    *,
    t_edit: int,
    steps_found: int,
    longest: float,
    t_start: int | None = None,
) -> list[float]:
    """The strength of each head, at most `longest`, at which it changes the pictures of x_T (B, C, H, W) by CHANGE."""
    return units_of(
        backbone, [Edit(head, 1.0, t_edit, steps_found, t_start=t_start) for head in heads], x_T, longest=longest
    )


@torch.no_grad()
def units_of(backbone: Backbone, edits: Sequence[Edit | Move], x_T: Tensor, *, longest: float) -> list[float]:
    """The strength of each edit, at most `longest`, at which it changes the pictures of x_T (B, C, H, W) by CHANGE.

    The change is the mean of both signs'. Pictures do not change in strict proportion to the strength, so it is
    found in a few rounds, each of which takes them to.
    """
    n = len(x_T)
    plain = backbone.x0_to_image(sample(backbone, x_T, steps=STEPS)).repeat(2, 1, 1, 1)
    signs = torch.tensor([1.0] * n + [-1.0] * n)
    strengths = []
    for one in edits:
        strength = longest / 4
        for _ in range(ROUNDS):
            at_work = [replace(one, strength=strength * signs)]
            pictures = backbone.x0_to_image(edit(backbone, x_T.repeat(2, 1, 1, 1), at_work, steps=STEPS))
            change = float((pictures - plain).square().mean().sqrt())
            strength = longest if change == 0 else min(strength * CHANGE / change, longest)
        strengths.append(strength)
    return strengths
