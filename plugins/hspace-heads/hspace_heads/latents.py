"""The latents that a direction is distilled on: drawn, or inverted from pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hspace import Backbone
from hspace.building import run
from hspace.discovery import image_size
from hspace.errors import UsageError
from hspace.images import load_image
from hspace.plugins import plugins
from hspace.sampling import invert, latents


@dataclass(frozen=True)
class Latents:
    """x_T (n, C, H, W) to average over, others (m, C, H, W) to measure on, and what to say of where they came from."""

    x_T: Tensor
    held_out: Tensor
    data: str


def drawn(backbone: Backbone, n: int, held_out: int, seed: int) -> Latents:
    """n latents of a seed, and the `held_out` that come after them."""
    x_T = latents(backbone, n + held_out, seed)
    return Latents(x_T[:n], x_T[n:], f"{n} latents of seed {seed}")


def of_images(
    backbone: Backbone, paths: Sequence[Path], steps: int, batch: int, callback: Callable[[int, int], None]
) -> Latents:
    """Those that pictures invert to; the last quarter of them is held out. Raises UsageError for fewer than two."""
    if len(paths) < 2:
        raise UsageError("distilling on pictures takes at least two: one to average over, and one to measure on")
    size = image_size(backbone)
    pictures = torch.cat([load_image(path, size) for path in paths])
    x_T = _inverted(backbone, pictures, steps, batch, callback)
    n = len(paths) - max(1, len(paths) // 4)
    return Latents(x_T[:n], x_T[n:], f"{n} pictures")


def of_source(
    backbone: Backbone,
    name: str,
    n: int,
    held_out: int,
    seed: int,
    steps: int,
    batch: int,
    callback: Callable[[int, int], None],
) -> Latents:
    """Those that the first pictures of a source invert to, and the `held_out` that come after them.

    Raises NotFoundError for an unknown source, HspaceError where it fails.
    """
    source = run(plugins().find("sources", name), size=image_size(backbone), seed=seed)
    x_T = _inverted(backbone, source.images(n + held_out), steps, batch, callback)
    return Latents(x_T[:n], x_T[n:], f"{n} pictures of {name}, seed {seed}")


def _inverted(
    backbone: Backbone, pictures: Tensor, steps: int, batch: int, callback: Callable[[int, int], None]
) -> Tensor:
    found: list[Tensor] = []
    for part in torch.split(pictures, batch):
        x_0 = backbone.image_to_x0(part.to(next(backbone.parameters(), part)))
        found.append(invert(backbone, x_0, steps=steps))
        callback(sum(len(one) for one in found), len(pictures))
    return torch.cat(found)
