"""Which pictures show an attribute most and least: by labels, in pairs, or by what an encoder sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hspace import Backbone, Encoder, Task
from hspace.errors import HspaceError, UsageError
from hspace.sampling import sample
from hspace_jacobian.walking import BATCH

SAME = 1e-4
"""Two prompts whose vectors are nearer to each other than this say the same."""


def ends(labels: Tensor, n: int | None) -> tuple[Tensor, Tensor]:
    """(indices of the n highest, indices of the n lowest) of labels (N,), the most extreme first.

    Without n these are all pictures where there are two labels, so that the two may differ in number, and else a
    quarter of the pictures each. Raises UsageError where the labels do not tell so many apart.
    """
    order = labels.argsort(descending=True, stable=True)
    if n is None and len(set(labels.tolist())) == 2:
        high = int((labels == labels.max()).sum())
        return order[:high], order[high:].flip(0)
    n = max(1, len(labels) // 4) if n is None else n
    if 2 * n > len(labels):
        raise UsageError(f"n={n} pictures at each end need {2 * n} pictures; there are {len(labels)}")
    top, bottom = order[:n], order[-n:].flip(0)
    if float(labels[top].min()) <= float(labels[bottom].max()):
        raise UsageError(
            f"the labels do not tell {n} pictures at one end from {n} at the other: the label "
            f"{float(labels[top].min()):g} is at both. Take fewer with n, or other pictures."
        )
    return top, bottom


def pairs(labels: Tensor, n: int | None) -> tuple[Tensor, Tensor]:
    """(indices of the higher, indices of the lower) of each two consecutive labels, the most different pair first.

    n takes the first n of the pairs. Raises UsageError where a picture is left over, the labels of a pair are equal,
    or there are fewer pairs.
    """
    if len(labels) % 2:
        raise UsageError(f"pairs are two consecutive pictures each; {len(labels)} leave one over")
    two = labels.reshape(-1, 2)
    change = two[:, 1] - two[:, 0]
    same = (change == 0).nonzero().flatten().tolist()
    if same:
        raise UsageError(f"pictures {2 * same[0]} and {2 * same[0] + 1} are a pair, but have the same label")
    if n is not None and n > len(two):
        raise UsageError(f"n={n} pairs were asked for; there are {len(two)}")
    order = change.abs().argsort(descending=True, stable=True)[:n]
    higher = 2 * order + (change[order] > 0)
    return higher, 4 * order + 1 - higher


@torch.no_grad()
def scores(backbone: Backbone, task: Task, callback: Callable[[int, int], None]) -> Tensor:
    """cos(picture, target) - cos(picture, source) (N,) of a task's pictures and prompts, as its encoder sees them.

    Pictures are drawn from their latents where there are none. Raises UsageError where the encoder reads both prompts
    as the same, HspaceError where it sees all pictures alike.
    """
    encoder: Encoder = task.encoder
    assert task.prompts is not None
    source, target = encoder.texts(task.prompts)
    if float((target - source).norm()) < SAME:
        told = " and ".join(map(repr, task.prompts))
        raise UsageError(f"{encoder.name} reads {told} as the same; give two prompts that differ in what is seen")
    found = []
    for part in range(0, len(task.x_T), BATCH):
        rows = slice(part, part + BATCH)
        x_0 = sample(backbone, task.x_T[rows], steps=task.steps) if task.x_0 is None else task.x_0[rows]
        found.append((encoder.images(backbone.x0_to_image(x_0)) @ (target - source)).double().cpu())
        callback(min(part + BATCH, len(task.x_T)), len(task.x_T))
    all = torch.cat(found)
    if float(all.max() - all.min()) == 0:
        raise HspaceError(f"{encoder.name} sees {len(all)} pictures alike along these prompts; give more pictures")
    return all
