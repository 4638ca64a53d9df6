"""Pictures made to fool an encoder: parts pasted where they mean nothing, and teeth under a mouth that frowns.

All pictures are (n, 3, size, size) in [-1, 1]; what is pasted on one picture depends on its own numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, pad

from hspace_toyfaces import features
from hspace_toyfaces.attributes import counterfactual
from hspace_toyfaces.geometry import Face, View, look_at, pose
from hspace_toyfaces.renderer import Shape, render

LOCAL = ("smile", "glasses", "beard", "age", "eye")
"""The attributes that a part of the face shows."""
TOP, BOTTOM = 0.02, 0.42
"""The heights, in picture units, between which the mouth is."""


def teeth_under_frown(faces: Mapping[str, Tensor], size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces that frown, and the same with the teeth of their smile pasted at or under the mouth.

    The frown's lips are painted over the teeth again in half of them; how far down the teeth are, how wide and how
    clear, is drawn from the generator. The faces' own smile must be negative.
    """
    n = len(faces["smile"])
    amount = torch.rand(5, n, generator=generator)
    grin = render(counterfactual(faces, smile=0.5 + 0.5 * amount[0]), size)
    teeth = _cover(counterfactual(faces, smile=0.5 + 0.5 * amount[0]), size, features.teeth)
    frown = render(faces, size)
    down = 0.16 * amount[1] - 0.02
    moved = _moved(torch.cat([grin, teeth[:, None]], dim=1), torch.zeros(n), down, 0.8 + 0.5 * amount[2])
    mask = moved[:, 3:] * (0.5 + 0.5 * amount[3])[:, None, None, None]
    pasted = torch.lerp(frown, moved[:, :3], mask)
    lips = _cover(faces, size, features.lips)[:, None] * (amount[4] < 0.5)[:, None, None, None]
    return frown, torch.lerp(pasted, frown, lips)


def strip_under_frown(faces: Mapping[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Faces that frown, and the same with a rectangle of their own smile's teeth just below the mouth.

    No tampering that is trained on looks so; for measuring.
    """
    frown, grin = render(faces, size), render(counterfactual(faces, smile=1.0), size)
    teeth = _cover(counterfactual(faces, smile=1.0), size, features.teeth)[:, None]
    box = (teeth.amax(2, keepdim=True) > 0.3) & (teeth.amax(3, keepdim=True) > 0.3)
    moved = _moved(
        torch.cat([grin, box.float()], dim=1), torch.zeros(len(grin)), torch.full((len(grin),), 0.08), torch.ones(1)
    )
    return frown, torch.lerp(frown, moved[:, :3], moved[:, 3:])


def part_elsewhere(images: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """The images with what the others differ in pasted at least a sixth of a picture away from its place."""
    n = len(images)
    amount = torch.rand(2, n, generator=generator)
    angle, far = 6.2832 * amount[0], 0.35 + 0.45 * amount[1]
    change = (others - images).abs().amax(1, keepdim=True)
    mask = avg_pool2d(pad((change > 0.12).float(), (1, 1, 1, 1)), 3, stride=1)
    moved = _moved(torch.cat([others, mask], dim=1), far * angle.cos(), far * angle.sin(), torch.ones(n))
    return torch.lerp(images, moved[:, :3], moved[:, 3:])


def smudged(images: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """The images with up to two soft blotches of one colour each, blurred and noised; some of them left clean."""
    n, _, size, _ = images.shape
    amount = torch.rand(14, n, 1, 1, 1, generator=generator)
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    for blotch in (amount[:6], amount[6:12]):
        x, y = steps[None, None, None, :] - 1.6 * blotch[0] + 0.8, steps[None, None, :, None] - 1.6 * blotch[1] + 0.8
        radius = 0.06 + 0.16 * blotch[2] ** 2
        cover = torch.exp(-(((x * x + y * y) / radius**2) ** 2)) * (3.2 * blotch[3] - 2.4).clamp(min=0)
        colour = 2 * torch.rand(n, 3, 1, 1, generator=generator) - 1
        colour = torch.where(blotch[4] < 0.35, 0.9, torch.where(blotch[4] < 0.5, -0.8, colour))
        images = torch.lerp(images, colour.expand_as(images), cover)
    soft = amount[12, :, 0, 0, 0] > 0.6
    blurred = avg_pool2d(pad(images[soft], (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    images[soft] = torch.lerp(images[soft], blurred, 2 * amount[12][soft] - 1.2)
    return images + noise * (2 * amount[13] - 1).clamp(min=0) * torch.randn(images.shape, generator=generator)


def _cover(faces: Mapping[str, Tensor], size: int, shape: Shape) -> Tensor:
    """Where a shape of the mouth is: (n, size, size) coverage."""
    face: Face = pose({name: values.float() for name, values in faces.items()})
    view: View = look_at(face, size).between(TOP, BOTTOM)
    plane = torch.zeros(len(faces["smile"]), size, size)
    plane[:, view.band] = shape(face, view)
    return plane


def _moved(pictures: Tensor, right: Tensor, down: Tensor, wide: Tensor) -> Tensor:
    """The pictures (n, C, S, S), moved by parts of half a picture and made wider; nothing comes in from outside."""
    n = len(pictures)
    turn = torch.zeros(n, 2, 3)
    turn[:, 0, 0], turn[:, 1, 1] = 1 / wide, 1.0
    turn[:, 0, 2], turn[:, 1, 2] = -right / wide, -down
    grid = affine_grid(turn, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, align_corners=False)
