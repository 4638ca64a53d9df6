"""Where things are: the picture plane, and the turning head on it.

The picture spans about [-1, 1] in x (rightwards) and y (downwards): the frame is FRAME_HALF to either side of
FRAME_Y. The head is a ball that turns about its vertical
axis; a point of it has face coordinates u (sideways from the nose) and v (down from the head's centre), in
picture units, and a depth that is positive on the half which bears the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

FRAME_HALF = 0.93
FRAME_Y = -0.02
HEAD_Y = -0.15
HEAD_WIDTH = 0.52
HEAD_HEIGHT = 0.63
JAW_TAPER = 0.13
MOST_YAW = 0.52  # radians


@dataclass(frozen=True)
class Face:
    """One batch of faces: attributes and head geometry, each (n, 1, 1)."""

    traits: Mapping[str, Tensor]
    yaw: Tensor
    sin: Tensor
    cos: Tensor
    x: Tensor
    width: Tensor

    def __getitem__(self, name: str) -> Tensor:
        return self.traits[name]

    def side_at(self, azimuth: float) -> Tensor:
        """The x, (n, 1, 1), on the head at an angle in radians from the nose, positive to the right."""
        return self.x + self.width * (self.yaw + azimuth).sin()


def pose(attributes: Mapping[str, Tensor]) -> Face:
    """The faces that the (n,) attributes describe."""
    traits = {name: values[:, None, None] for name, values in attributes.items()}
    turn = traits["yaw"]
    # In float64, so that a sine rounds alike in the vectorised body and the scalar tail of a batch.
    angle = turn.double() * MOST_YAW
    width = HEAD_WIDTH + 0.07 * traits["id_width"]
    return Face(traits, angle, angle.sin().float(), angle.cos().float(), 0.05 * turn, width)


@dataclass(frozen=True)
class View:
    """Some rows of the picture: coordinates of each pixel, and what of the head lies there."""

    x: Tensor  # (1, 1, size)
    y: Tensor  # (1, rows, 1)
    pixel: float  # width of a pixel in picture units
    u: Tensor  # (n, rows, size), face coordinate
    depth: Tensor  # (n, rows, size)
    head: Tensor  # (n, rows, size), coverage of the head
    front: Tensor  # (n, rows, size), coverage of the half that bears the face
    band: slice

    @property
    def v(self) -> Tensor:
        return self.y - HEAD_Y

    def between(self, top: float, bottom: float) -> View:
        """The rows from y = top to y = bottom, with one to spare on either side."""
        size = self.x.shape[-1]
        first = max(0, int((top - FRAME_Y + FRAME_HALF) / self.pixel) - 1)
        last = min(size, int((bottom - FRAME_Y + FRAME_HALF) / self.pixel) + 2)
        rows = slice(first, last)
        planes = {name: getattr(self, name)[:, rows] for name in ("y", "u", "depth", "head", "front")}
        return replace(self, band=rows, **planes)

    def cover(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Anti-aliased coverage in [0, 1] of a shape with this signed distance, negative inside."""
        return torch.rsub(distance, 0.5, alpha=1 / (self.pixel * softness)).clamp_(0, 1)


def look_at(face: Face, size: int) -> View:
    """The whole picture, size pixels on a side, with the head's coordinates in it."""
    pixel = 2 * FRAME_HALF / size
    steps = (torch.arange(size, device=face.x.device, dtype=torch.float32) + 0.5) * pixel - FRAME_HALF
    x, y = steps[None, None, :], steps[None, :, None] + FRAME_Y
    down = (y - HEAD_Y) / HEAD_HEIGHT
    taper = 1 - JAW_TAPER * down.clamp(min=0) ** 2
    across = (x - face.x) / (face.width * taper)
    radius = across * across + down * down
    toward = (1 - radius).clamp_(min=0).sqrt_()
    u = (across * face.cos - toward * face.sin).mul_(HEAD_WIDTH)
    depth = across * face.sin + toward * face.cos
    edge = radius.sqrt_().sub_(1).mul_(HEAD_WIDTH * 1.05)
    head = torch.rsub(edge, 0.5, alpha=1 / pixel).clamp_(0, 1)
    front = (depth * 8).clamp_(0, 1).mul_(head)
    return View(x, y, pixel, u, depth, head, front, slice(0, size))
