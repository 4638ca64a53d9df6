"""Pictures of toy faces: a portrait is a list of layers, painted from the back to the front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from . import features, shapes
from .geometry import Face, View, look_at, pose
from .palette import mix_colours

Shape = Callable[[Face, View], Tensor]
PIXELS_AT_ONCE = 1 << 17  # keeps the planes of a pass in the processor's cache


@dataclass(frozen=True)
class Layer:
    """A shape in one colour, between two heights; without a light of its own it is lit as what it lies on."""

    cover: Shape
    colour: str
    rows: tuple[float, float] = (-1.0, 1.0)
    light: Shape | None = None


LAYERS: tuple[Layer, ...] = (
    Layer(shapes.back_hair, "hair", (-0.90, 1.0), shapes.back_hair_light),
    Layer(shapes.shoulders, "shirt", (0.58, 1.0), shapes.shoulder_light),
    Layer(shapes.collar, "collar", (0.56, 0.84)),
    Layer(shapes.neck, "skin", (0.30, 0.78), shapes.neck_light),
    Layer(shapes.head, "skin", (-0.80, 0.52), shapes.head_light),
    Layer(features.cheeks, "blush", (-0.10, 0.24)),
    Layer(features.forehead_lines, "crease", (-0.48, -0.28)),
    Layer(features.eye_bags, "crease", (-0.02, 0.08)),
    Layer(features.smile_folds, "crease", (0.04, 0.32)),
    Layer(features.beard, "beard", (-0.20, 0.52)),
    Layer(features.nose_side, "nose", (-0.10, 0.20)),
    Layer(features.nose_bridge, "glow", (-0.18, 0.15)),
    Layer(features.lips, "lip", (0.08, 0.36)),
    Layer(features.mouth_line, "throat", (0.08, 0.36)),
    Layer(features.teeth, "tooth", (0.10, 0.34)),
    Layer(features.eye_sockets, "lash", (-0.26, 0.06)),
    Layer(features.eye_whites, "white", (-0.22, 0.06)),
    Layer(features.iris_rims, "iris rim", (-0.20, 0.04)),
    Layer(features.irises, "iris", (-0.20, 0.04)),
    Layer(features.pupils, "pupil", (-0.16, 0.0)),
    Layer(features.eye_sparkles, "white", (-0.18, -0.08)),
    Layer(features.brows, "brow", (-0.38, -0.20)),
    Layer(shapes.hair_shadow, "crease", (-0.60, 0.0)),
    Layer(features.lenses, "lens", (-0.26, 0.08)),
    Layer(features.frames, "frame", (-0.26, 0.10)),
    Layer(shapes.front_hair, "hair", (-0.90, 1.0), shapes.hair_light),
    Layer(shapes.ears, "skin", (-0.24, 0.06), shapes.ear_light),
    Layer(shapes.ear_hollows, "crease", (-0.20, 0.02)),
)


def render(attributes: Mapping[str, Tensor], size: int = 64) -> Tensor:
    """Pictures of n faces: (n, 3, size, size) float32 in [-1, 1], on the attributes' device.

    The same attributes give the same bytes, and a face does not depend on the others rendered with it.
    """
    n = len(attributes["smile"])
    pictures = torch.empty(n, 3, size, size, device=attributes["smile"].device)
    step = max(1, PIXELS_AT_ONCE // size**2) if pictures.device.type == "cpu" else max(1, n)
    for start in range(0, n, step):
        some = {name: values[start : start + step].float() for name, values in attributes.items()}
        _paint(some, pictures[start : start + step])
    return pictures


def _paint(attributes: Mapping[str, Tensor], canvas: Tensor) -> None:
    """Paints the faces of (n,) attributes over the (n, 3, size, size) canvas."""
    face, palette = pose(attributes), mix_colours(attributes)
    whole = look_at(face, canvas.shape[-1])
    canvas.copy_(palette["backdrop"][:, :, None, None].expand_as(canvas))
    light = shapes.backdrop_light(face, whole).expand_as(whole.u).clone()
    for layer in LAYERS:
        view = whole.between(*layer.rows)
        cover = layer.cover(face, view)
        _blend(canvas[:, :, view.band], palette[layer.colour], cover)
        if layer.light is not None:
            light[:, view.band].lerp_(layer.light(face, view), cover)
    _shine(canvas, light)


def _blend(rows: Tensor, colour: Tensor, cover: Tensor) -> None:
    """Mixes an (n, 3) colour into (n, 3, rows, size) by (n, rows, size) coverage."""
    rows.lerp_(colour[:, :, None, None], cover[:, None])


def _shine(canvas: Tensor, light: Tensor) -> None:
    """Multiplies the colours by the light, with warmer shadows, and scales [0, 1] to [-1, 1]."""
    warmth = torch.tensor([0.86, 1.02, 1.06], device=canvas.device)[:, None, None]
    canvas.mul_(1 + (light - 1)[:, None] * warmth).clamp_(0, 1).mul_(2).sub_(1)
