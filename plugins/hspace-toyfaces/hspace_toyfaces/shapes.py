"""The large shapes of a portrait: shoulders, neck, head, ears and hair.

Every function takes a Face (n faces) and a View (some rows of the picture) and returns the coverage of a
shape, or the light on it, as a plane that broadcasts to (n, rows, size).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import HEAD_HEIGHT, HEAD_WIDTH, HEAD_Y, Face, View

LIGHT_REACH = 0.95
NECKLINE_Y = 0.59
EAR_AZIMUTH = 1.68
HAIRLINE_AZIMUTH = 1.16


def ellipse(x: Tensor, y: Tensor, across: Tensor | float, down: Tensor | float) -> Tensor:
    """Signed distance, right at the top and bottom, to an ellipse at the origin with these half-axes."""
    return (((x / across) ** 2 + (y / down) ** 2).sqrt() - 1) * down


def bump(t: Tensor) -> Tensor:
    """A soft hill: 1 at 0, falling smoothly to 0 at -1 and 1."""
    return (1 - t * t).clamp_(min=0) ** 2


def backdrop_light(face: Face, view: View) -> Tensor:
    """A wall lit from above, with a glow behind the head."""
    far = view.x**2 + (view.y + 0.1) ** 2
    return 1.05 - 0.06 * view.y - 0.11 * far + 0.05 * LIGHT_REACH * face["light"] * view.x


def shoulders(face: Face, view: View) -> Tensor:
    away = view.x.abs()
    slope = 0.58 + 0.13 * away**2 + 1.9 * (away - 0.60).clamp(min=0) ** 2
    return view.cover((slope - view.y) * 0.9)


def shoulder_light(face: Face, view: View) -> Tensor:
    return 0.98 + 0.16 * LIGHT_REACH * face["light"] * view.x - 0.10 * view.x**2 + 0.12 * (0.8 - view.y)


def collar(face: Face, view: View) -> Tensor:
    ring = ellipse(view.x, view.y - NECKLINE_Y, 0.285, 0.185)
    return view.cover(torch.maximum(ring, (0.57 + 0.1 * view.x.abs()) - view.y))


def neck(face: Face, view: View) -> Tensor:
    column = torch.maximum((view.x - 0.4 * face.x).abs() - 0.185, (view.y - 0.45).abs() - 0.14)
    opening = ellipse(view.x, view.y - NECKLINE_Y, 0.225, 0.125)
    return view.cover(torch.minimum(column, opening))


def neck_light(face: Face, view: View) -> Tensor:
    """Shaded under the chin."""
    below = ((view.y - 0.46) / 0.22).clamp(0, 1)
    return 0.70 + 0.22 * below + 0.35 * LIGHT_REACH * face["light"] * view.x


def head(face: Face, view: View) -> Tensor:
    return view.head


def head_light(face: Face, view: View) -> Tensor:
    """A ball lit from the front, above, and the side the light comes from."""
    side = LIGHT_REACH * face["light"]
    p = (view.x - face.x) / HEAD_WIDTH
    q = view.v / HEAD_HEIGHT
    toward = (1 - p * p - q * q).clamp_(min=0).sqrt_()
    return 0.70 + 0.34 * (toward + p * side - 0.25 * q) * (1 + side * side).rsqrt()


def hair_outline(face: Face, view: View) -> Tensor:
    """Signed distance to the hair as a whole: a dome that hangs down to the length of the hair."""
    brow = HEAD_Y - 0.02
    x = view.x - 0.6 * face.x
    half = face.width + 0.085 + 0.025 * face["length"] * (1 + (view.y - brow).clamp(-1, 1))
    rise = (brow - view.y).clamp(min=0) / (HEAD_HEIGHT + 0.075)
    dome = (((x / half) ** 2 + rise**2).sqrt() - 1) * HEAD_WIDTH
    hem = view.y - (0.42 + 0.49 * face["length"])
    corner = 0.13
    a, b = dome + corner, hem + corner
    outside = (a.clamp(min=0) ** 2 + b.clamp(min=0) ** 2).sqrt_()
    return outside + torch.maximum(a, b).clamp_(max=0) - corner


def back_hair(face: Face, view: View) -> Tensor:
    return view.cover(hair_outline(face, view))


def front_hair(face: Face, view: View) -> Tensor:
    """All hair but the opening in which the face shows: a swept fringe, and locks that frame it."""
    left, right = _hairline_sides(face)
    middle, half = (left + right) / 2, (right - left) / 2
    s = (view.x - middle) / half
    swell = 0.94 + 0.09 * bump((view.v - 0.16) / 0.55)
    window = torch.maximum((s.abs() - swell) * half, (_fringe(s) - view.v) * 0.8)
    return view.cover(hair_outline(face, view)).mul_(1 - view.cover(window))


def hair_shadow(face: Face, view: View) -> Tensor:
    """The soft shadow of the fringe on the forehead."""
    left, right = _hairline_sides(face)
    s = (view.x - (left + right) / 2) / ((right - left) / 2)
    return (1 - (view.v - _fringe(s)) / 0.13).clamp_(0, 1).mul_(view.front)


def hair_light(face: Face, view: View) -> Tensor:
    """Strands, a gloss that follows the crown, and the light's side."""
    p = (view.x - face.x) / (HEAD_WIDTH + 0.08)
    q = view.v / (HEAD_HEIGHT + 0.08)
    radius = (p * p + (q + 0.10).clamp(max=0) ** 2 + 1e-6).sqrt_()
    gloss = bump((radius - 0.70 + 0.06 * p) / 0.17) * (1 - 1.6 * (q + 0.3)).clamp_(0, 1)
    strands = torch.sin(p * 21 + 1.3) + torch.sin(p * 34)
    side = LIGHT_REACH * face["light"] * p
    return 0.92 + 0.24 * gloss + 0.045 * strands + 0.22 * side - 0.10 * q


def back_hair_light(face: Face, view: View) -> Tensor:
    return 0.76 + 0.18 * LIGHT_REACH * face["light"] * view.x


def ears(face: Face, view: View) -> Tensor:
    return torch.maximum(_ear(face, view, -1, 0.078, 0.118), _ear(face, view, 1, 0.078, 0.118))


def ear_hollows(face: Face, view: View) -> Tensor:
    return torch.maximum(_ear(face, view, -1, 0.036, 0.068), _ear(face, view, 1, 0.036, 0.068)) * 0.4


def ear_light(face: Face, view: View) -> Tensor:
    return 0.90 + 0.25 * LIGHT_REACH * face["light"] * view.x.sign()


def _ear(face: Face, view: View, side: int, across: float, down: float) -> Tensor:
    """One ear: the head hides it when it turns away, hair covers it as it grows longer."""
    nearness = (face.yaw + side * EAR_AZIMUTH).cos().float()
    x = face.side_at(side * EAR_AZIMUTH).float()
    shape = view.cover(ellipse(view.x - x, view.v - 0.06, across, down))
    bare = ((-0.32 - face["length"]) / 0.16).clamp(0, 1)
    hidden = view.head * (1 - (nearness * 4 + 0.6).clamp(0, 1))
    return shape * bare * (1 - hidden)


def _fringe(s: Tensor) -> Tensor:
    """The v of the fringe's edge, swept from a parting, across the opening's s in [-1, 1]."""
    s = s.clamp(-1.1, 1.1)
    return -0.395 + 0.13 * (s + 0.32) ** 2 + 0.11 * (s * s) ** 3


def _hairline_sides(face: Face) -> tuple[Tensor, Tensor]:
    """The x of the left and right edge of the hair around the face, each (n, 1, 1)."""
    left = face.x + face.width * (face.yaw - HAIRLINE_AZIMUTH).clamp(min=-1.5708).sin()
    right = face.x + face.width * (face.yaw + HAIRLINE_AZIMUTH).clamp(max=1.5708).sin()
    return left.float(), right.float()
