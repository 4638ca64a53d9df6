"""Where the parts of a toy face are, known from the shapes that draw them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from . import features, shapes
from .attributes import ATTRIBUTES, counterfactual
from .geometry import look_at, pose
from .renderer import LAYERS, Shape, render

VISIBLE = 1 / 255
"""A smaller change, in pictures in [-1, 1], is under half a grey level."""

_SKIN: set[Shape] = {
    shapes.head,
    features.cheeks,
    shapes.hair_shadow,
    features.nose_side,
    features.nose_bridge,
}
_LINES: set[Shape] = {features.forehead_lines, features.eye_bags, features.smile_folds}
_BODY: set[Shape] = {shapes.neck, shapes.ears, shapes.ear_hollows}
_EYES: set[Shape] = {
    features.eye_sockets,
    features.eye_whites,
    features.iris_rims,
    features.irises,
    features.pupils,
    features.eye_sparkles,
}
_MOUTH: set[Shape] = {features.lips, features.mouth_line, features.teeth}
_GLASSES: set[Shape] = {features.lenses, features.frames}

REGIONS: dict[str, set[Shape]] = {
    "face": _SKIN | _LINES | _EYES | _MOUTH | _GLASSES | {features.beard, features.brows},
    "skin": _SKIN | _LINES | _BODY,
    "hair": {shapes.back_hair, shapes.front_hair},
    "eyes": _EYES,
    "brows": {features.brows},
    "nose": {features.nose_side, features.nose_bridge},
    "mouth": _MOUTH,
    "beard": {features.beard},
    "lines": _LINES,
    "glasses": _GLASSES,
    "neck": {shapes.neck},
    "ears": {shapes.ears, shapes.ear_hollows},
    "shirt": {shapes.shoulders, shapes.collar},
    "background": set(),
}
"""Region -> the shapes that make it up; the background is what no shape covers."""


def region_mask(attributes: Mapping[str, Tensor], name: str, size: int = 64) -> Tensor:
    """Where a region is seen: (n, 1, size, size) bool, true where most of a pixel's colour is its own.

    What lies in front hides it: there is no hair behind a cheek, and no beard on a face without one. The
    glasses are their frames. Raises ValueError for an unknown region.
    """
    if name not in REGIONS:
        raise ValueError(f"region {name!r} is not one of {', '.join(REGIONS)}. Use one of these names.")
    face = pose({key: values.float() for key, values in attributes.items()})
    whole = look_at(face, size)
    share = torch.full_like(whole.u, float(name == "background"))
    for layer in LAYERS:
        view = whole.between(*layer.rows)
        belongs = torch.tensor(float(layer.cover in REGIONS[name]), device=share.device)
        share[:, view.band].lerp_(belongs, layer.cover(face, view))
    return (share > 0.5)[:, None]


def changed_mask(attributes: Mapping[str, Tensor], name: str, size: int = 64) -> Tensor:
    """Where an attribute can change the picture: (n, 1, size, size) bool, widened by one pixel.

    True where the face with the attribute at its lowest or highest visibly differs from the face as it is.
    Raises ValueError for an unknown attribute.
    """
    if name not in ATTRIBUTES:
        raise ValueError(f"attribute {name!r} is not one of {', '.join(ATTRIBUTES)}. Use one of these names.")
    before = render(attributes, size)
    changed = torch.zeros_like(before[:, :1], dtype=torch.bool)
    for extreme in (ATTRIBUTES[name].low, ATTRIBUTES[name].high):
        after = render(counterfactual(attributes, **{name: extreme}), size)
        changed |= ((after - before).abs() > VISIBLE).any(dim=1, keepdim=True)
    return max_pool2d(changed.float(), kernel_size=3, stride=1, padding=1) > 0
