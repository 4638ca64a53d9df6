"""The small shapes on the face: brows, eyes, nose, mouth, beard, lines of age, glasses.

Every function takes a Face (n faces) and a View (some rows of the picture) and returns the coverage of a
shape as a plane that broadcasts to (n, rows, size). They are drawn in face coordinates, so they turn with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import Face, View
from .shapes import bump, ellipse

EYE_V = 0.06
MOUTH_V = 0.37
MOUTH_CURVE = 0.135
MOUTH_HALF = 0.22


def cheeks(face: Face, view: View) -> Tensor:
    away = (view.u.abs() - 0.29) / 0.17
    return bump((away**2 + ((view.v - 0.22) / 0.15) ** 2).sqrt_()) * view.front * 0.55


def brows(face: Face, view: View) -> Tensor:
    along = (view.u.abs() - _eye_u(face)) / 0.135
    arch = -0.135 - 0.028 * (1 - along**2)
    thick = (0.032 + 0.021 * face["id_brow"]) * (1.05 - 0.35 * along.clamp(-1, 1))
    shape = torch.maximum((view.v - arch).abs() - thick, (along.abs() - 1) * 0.135)
    return view.cover(shape) * view.front


def eye_sockets(face: Face, view: View) -> Tensor:
    """The lashes: a dark rim, heavier above the eye."""
    a, b = _eye_axes(face)
    shape = ellipse(view.u.abs() - _eye_u(face), view.v - EYE_V + 0.020, a + 0.018, b + 0.018)
    return view.cover(shape) * view.front


def eye_whites(face: Face, view: View) -> Tensor:
    a, b = _eye_axes(face)
    return view.cover(ellipse(view.u.abs() - _eye_u(face), view.v - EYE_V - 0.004, a, b)) * view.front


def iris_rims(face: Face, view: View) -> Tensor:
    return _eye_disc(face, view, 0.092)


def irises(face: Face, view: View) -> Tensor:
    return _eye_disc(face, view, 0.078)


def pupils(face: Face, view: View) -> Tensor:
    return _eye_disc(face, view, 0.036)


def eye_sparkles(face: Face, view: View) -> Tensor:
    return _eye_disc(face, view, 0.023, 0.028, -0.032)


def nose_side(face: Face, view: View) -> Tensor:
    """The soft flank and the underside of the nose."""
    tip = 0.20 + 0.075 * face["id_nose"]
    nearer = view.u - 0.055 * face.sin
    return view.cover(ellipse(nearer, view.v - tip, 0.100, 0.054), 1.5) * view.front


def nose_bridge(face: Face, view: View) -> Tensor:
    """The lit back of the nose, down to its tip."""
    tip = 0.20 + 0.075 * face["id_nose"]
    nearer = view.u - 0.055 * face.sin
    down = ((view.v + 0.02) / (tip + 0.02)).clamp(0, 1)
    back = torch.maximum(nearer.abs() - 0.026 - 0.026 * down, torch.maximum(0.0 - view.v, view.v - tip))
    ball = ellipse(nearer, view.v - tip + 0.024, 0.072, 0.050)
    fade = (0.15 + 0.85 * down) * 0.85
    return view.cover(torch.minimum(back, ball), 2.0) * view.front * fade


def lips(face: Face, view: View) -> Tensor:
    return _stroke(face, view, 0.055)


def mouth_line(face: Face, view: View) -> Tensor:
    """The parting of the lips: corners up for a smile, down for a frown; it opens a little in a big smile."""
    return _stroke(face, view, 0.025, opens=0.062)


def teeth(face: Face, view: View) -> Tensor:
    return _stroke(face, view, -0.002, opens=0.054, sinks=-0.006)


def beard(face: Face, view: View) -> Tensor:
    """The jaw below a line from the ears to under the nose; fuller as the attribute grows."""
    away = view.u.abs()
    cheek_line = 0.30 - 0.30 * ((away - 0.16).clamp(min=0) / 0.36) + 0.04 * (1 - face["beard"])
    moustache = ellipse(away - 0.095, view.v - 0.292, 0.125, 0.048)
    shape = torch.minimum(cheek_line - view.v, moustache)
    behind = (view.depth * 6 + 1.5).clamp_(0, 1)
    return view.cover(shape, 2.0) * behind * view.head * (0.47 * (face["beard"] + 1))


def forehead_lines(face: Face, view: View) -> Tensor:
    upper = _groove(view.v + 0.280 - 0.05 * (view.u / 0.2) ** 2, view.u.abs() - 0.19)
    lower = _groove(view.v + 0.215 - 0.04 * (view.u / 0.2) ** 2, view.u.abs() - 0.15)
    return _aged(face, view, torch.minimum(upper, lower))


def eye_bags(face: Face, view: View) -> Tensor:
    away = view.u.abs() - _eye_u(face)
    ring = ellipse(away, view.v - EYE_V - 0.01, 0.138, 0.138)
    return _aged(face, view, _groove(ring, 0.085 - (view.v - EYE_V)))


def smile_folds(face: Face, view: View) -> Tensor:
    """The folds from the wings of the nose down to beside the mouth."""
    ring = ellipse(view.u, view.v - MOUTH_V, 0.30, 0.205)
    return _aged(face, view, _groove(ring, torch.maximum(0.195 - view.v, view.v - 0.315))) * 0.8


def lenses(face: Face, view: View) -> Tensor:
    return view.cover(_rim(face, view)) * view.front * (0.09 * (face["glasses"] + 1))


def frames(face: Face, view: View) -> Tensor:
    """Rims, the bridge between them, and the arms that run to the ears."""
    away = view.u.abs()
    outer = _eye_u(face) + 0.17
    rims = _rim(face, view).abs() - 0.0225
    bridge = torch.maximum((view.v - EYE_V + 0.035).abs() - 0.02, away - _eye_u(face) + 0.14)
    arms = torch.maximum((view.v - EYE_V + 0.045).abs() - 0.02, outer - away)
    shape = torch.minimum(rims, torch.minimum(bridge, arms))
    return view.cover(shape) * view.front * (0.5 * (face["glasses"] + 1))


def _eye_u(face: Face) -> Tensor:
    return 0.205 + 0.042 * face["id_eyesp"]


def _eye_axes(face: Face) -> tuple[Tensor, Tensor]:
    growth = 1 + 0.20 * face["id_eyesz"]
    return 0.116 * growth, 0.089 * growth


def _eye_disc(face: Face, view: View, radius: float, du: float = 0.0, dv: float = 0.0) -> Tensor:
    """A disc in both eyes, looking where the head turns, cut off by the lids."""
    growth = 1 + 0.12 * face["id_eyesz"]
    right = (view.u > 0) * 2.0 - 1
    u = view.u - right * _eye_u(face) - 0.018 * face["yaw"] - du
    v = view.v - EYE_V - dv
    disc = (u * u + v * v).sqrt_() - radius * growth
    return view.cover(disc) * eye_whites(face, view)


def _mouth_depth(face: Face, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """How far a pixel is below the mouth's curve, and past its ends; and 1 in its middle to 0 at the ends."""
    u = view.u.clamp(-MOUTH_HALF, MOUTH_HALF)
    t = u / MOUTH_HALF
    middle = 1 - t * t
    bend = MOUTH_CURVE * face["smile"]
    slope = bend * (2 / MOUTH_HALF) * t
    below = view.v - MOUTH_V - bend * (middle - 0.55)
    return below * (1 + slope * slope).rsqrt(), view.u.abs() - MOUTH_HALF, middle


def _stroke(face: Face, view: View, half: float, opens: float = 0.0, sinks: float = 0.0) -> Tensor:
    """A brush stroke along the mouth, thinner at the corners; its lower edge drops as a big smile opens."""
    below, past, middle = _mouth_depth(face, view)
    gape = opens * ((face["smile"] - 0.3) / 0.7).clamp(min=0) * middle if opens else 0.0
    away = torch.maximum(-below, below - gape - sinks)
    reach = half * (0.55 + 0.45 * middle)
    outside = (away.clamp(min=0) ** 2 + past.clamp(min=0) ** 2).sqrt_() + away.clamp(max=0)
    return view.cover(outside - reach) * view.front


def _groove(away: Tensor, ends: Tensor) -> Tensor:
    return torch.maximum(away.abs() - 0.018, ends)


def _aged(face: Face, view: View, shape: Tensor) -> Tensor:
    return view.cover(shape) * view.front * (0.46 * (face["age"] + 1))


def _rim(face: Face, view: View) -> Tensor:
    """Signed distance to the lenses: rounded squares around the eyes."""
    a = (view.u.abs() - _eye_u(face)).abs() - 0.055
    b = (view.v - EYE_V).abs() - 0.035
    return (a.clamp(min=0) ** 2 + b.clamp(min=0) ** 2).sqrt_() - 0.105
