"""The colours of a toy face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Tint = tuple[float, float, float]
Palette = dict[str, Tensor]

SKINS: tuple[str, ...] = ("#ffdec4", "#f7c29c", "#d49469", "#996142", "#66402e")
LIPS: tuple[str, ...] = ("#db6669", "#d15c5c", "#c75754", "#c75e5c", "#c76666")
HAIRS: tuple[str, ...] = ("#211c24", "#4f2e1f", "#8f4a26", "#cc853d", "#fad47a")
EYES: tuple[str, ...] = ("#854214", "#99751f", "#57ad42", "#2ea8a8", "#2985fa")
SCENES: tuple[str, ...] = ("#528cdb", "#5cb8a8", "#e6cc70", "#f2a16b", "#e37899")
SHIRTS: tuple[str, ...] = ("#d13d42", "#edad42", "#479e6b", "#386bc7", "#8f52ad")
SILVER = "#b8bdc9"
PLAIN: dict[str, str] = {
    "white": "#fcfaf5",
    "tooth": "#faf5eb",
    "throat": "#450f17",
    "pupil": "#120d12",
    "lash": "#291a1a",
    "frame": "#211f33",
    "lens": "#d1ebff",
}


def mix_colours(attributes: Mapping[str, Tensor]) -> Palette:
    """The colours of each face: name -> (n, 3) RGB in [0, 1], or (1, 3) where all faces share it."""
    skin = _ramp(attributes["skin"], SKINS)
    hair = _ramp(attributes["hair"], HAIRS)
    greyness = 0.45 * (attributes["grey"] + 1)[:, None]
    hair = torch.lerp(hair, _named(SILVER, hair), greyness)
    shirt = _ramp(attributes["shirt"], SHIRTS)
    iris = _ramp(attributes["eye"], EYES)
    colours = {
        "backdrop": _expose(_ramp(attributes["bg"], SCENES), attributes["bg_light"]),
        "skin": skin,
        "blush": _tinted(skin, (1.02, 0.68, 0.64)),
        "crease": _tinted(skin, (0.40, 0.25, 0.23)),
        "nose": _tinted(skin, (0.56, 0.39, 0.34)),
        "glow": torch.lerp(skin, _named("#fff5e6", skin), 0.45),
        "lip": _ramp(attributes["skin"], LIPS),
        "hair": hair,
        "brow": hair * 0.62 + skin * 0.04,
        "beard": hair * 0.74 + skin * 0.02,
        "iris": iris,
        "iris rim": iris * 0.45,
        "shirt": shirt,
        "collar": torch.lerp(shirt, torch.ones_like(shirt), 0.35),
    }
    return colours | {name: _named(colour, skin) for name, colour in PLAIN.items()}


def _ramp(position: Tensor, stops: Sequence[str]) -> Tensor:
    """The (n, 3) colours at (n,) positions in [-1, 1] along evenly spaced stops."""
    table = torch.cat([_named(stop, position) for stop in stops])
    place = (position.clamp(-1, 1) + 1) * 0.5 * (len(stops) - 1)
    below = place.floor().clamp(max=len(stops) - 2).long()
    return torch.lerp(table[below], table[below + 1], (place - below)[:, None])


def _expose(colour: Tensor, light: Tensor) -> Tensor:
    """The (n, 3) colours darkened where (n,) light is negative, washed with white where it is positive."""
    dark, bright = -light.clamp(-1, 0)[:, None], light.clamp(0, 1)[:, None]
    return torch.lerp(colour * (1 - 0.62 * dark), torch.ones_like(colour), 0.55 * bright)


def _named(colour: str, like: Tensor) -> Tensor:
    """The (1, 3) colour written as #rrggbb."""
    return torch.tensor([[byte / 255 for byte in bytes.fromhex(colour[1:])]], device=like.device)


def _tinted(colour: Tensor, tint: Tint) -> Tensor:
    return colour * torch.tensor(tint, device=colour.device)
