"""Rendered faces that nothing was trained on, inverted into a backbone once and edited many times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.discovery import image_size
from hspace.errors import UsageError
from hspace.pictures import HELD_OUT
from hspace.sampling import Callback, edit, invert, sample

from .attributes import Attributes
from .source import ToyFaces

AT_ONCE = 32


@dataclass(frozen=True)
class Inverted:
    """n known faces in a backbone: their latents x_T and reconstructions, and how they came to be."""

    known: Attributes
    x_T: Tensor
    recon: Tensor
    steps: int
    protocol: str


def inverted_faces(
    backbone: Backbone, n: int = 32, seed: int = 1, steps: int = 40, callback: Callback | None = None
) -> Inverted:
    """n rendered faces that nothing was trained on, inverted and reconstructed; more faces begin with the same ones.

    Raises UsageError for n below 1 or a negative seed.
    """
    if n < 1 or seed < 0:
        raise UsageError(f"{n} faces of seed {seed} were asked for; ask for at least 1, of a seed from 0")
    size = image_size(backbone)
    faces = ToyFaces(size, HELD_OUT + seed)
    place = next(backbone.parameters(), torch.empty(0))
    latents, pictures = [], []
    batches = torch.split(faces.images(n), AT_ONCE)
    for done, some in enumerate(batches, start=1):
        x_T = invert(backbone, backbone.image_to_x0(some.to(place)), steps=steps)
        latents.append(x_T)
        pictures.append(_pictures(backbone, sample(backbone, x_T, steps=steps)))
        if callback is not None:
            callback(done, len(batches))
    protocol = f"{n} rendered {size} px faces of seed {seed}, {steps} DDIM steps"
    return Inverted(faces.attributes(n), torch.cat(latents), torch.cat(pictures), steps, protocol)


def edited(backbone: Backbone, direction: Direction, strength: float, faces: Inverted) -> Tensor:
    """The faces edited along the direction: (n, 3, S, S) float32 in [-1, 1], on the CPU."""
    batches = torch.split(faces.x_T, AT_ONCE)
    edits = [edit(backbone, x_T, [(direction, strength)], steps=faces.steps) for x_T in batches]
    return torch.cat([_pictures(backbone, x_0) for x_0 in edits])


def _pictures(backbone: Backbone, x_0: Tensor) -> Tensor:
    return backbone.x0_to_image(x_0).float().cpu().clamp(-1, 1)
