"""The fingerprint of h: eight numbers that tell whether a direction belongs to a backbone."""

import json
from dataclasses import dataclass
from hashlib import sha256
from weakref import WeakKeyDictionary

import torch

from hspace.backbone import Backbone
from hspace.errors import UsageError
from hspace.storage import tensor_sha256

TOLERANCE = 0.01
"""The largest difference of two fingerprints of one network: bf16 moves one by 0.006, 2 % weight noise by 0.019."""


@dataclass(frozen=True)
class Probe:
    """What one encoder pass tells of a backbone: the shape of h, the width of temb, and the fingerprint."""

    h_shape: tuple[int, int, int]
    temb_dim: int | None
    fingerprint: tuple[float, ...]


_probes: WeakKeyDictionary[Backbone, Probe] = WeakKeyDictionary()


def x_shape(backbone: Backbone) -> tuple[int, int, int]:
    """The (C, H, W) of the backbone's x_t, as its card says. Raises UsageError when it has no card."""
    if backbone.card is None or "x_shape" not in backbone.card.facts:
        raise UsageError(
            "this backbone does not say the shape of its x_t; give it a card: "
            "hspace.Card(name, target, summary, facts={'x_shape': (C, H, W)})"
        )
    channels, height, width = backbone.card.facts["x_shape"]
    return channels, height, width


def probe(backbone: Backbone) -> Probe:
    """The probe of a backbone, made once and remembered.

    The fingerprint is the direction of eight fixed random projections of h, for one fixed x_t at the middle of
    the schedule: it survives renamed keys and other file formats, where a hash of the weights does not.
    """
    if backbone not in _probes:
        _probes[backbone] = _probe(backbone)
    return _probes[backbone]


@torch.no_grad()
def _probe(backbone: Backbone) -> Probe:
    generator = torch.Generator().manual_seed(0)
    weight = next(backbone.parameters(), torch.empty(0))
    x_t = torch.randn(1, *x_shape(backbone), generator=generator).to(weight)
    state = backbone.encode_h(x_t, torch.full((1,), len(backbone.alphas_cumprod) / 2, device=weight.device))
    h = state.h[0].float().cpu().flatten()
    projected = torch.randn(8, h.numel(), generator=generator) @ h
    fingerprint = projected / projected.norm().clamp(min=1e-12)
    channels, height, width = state.h.shape[1:]
    temb_dim = None if state.temb is None else state.temb.shape[1]
    return Probe((channels, height, width), temb_dim, tuple(round(value, 6) for value in fingerprint.tolist()))


_identities: WeakKeyDictionary[Backbone, str] = WeakKeyDictionary()


def identity(backbone: Backbone) -> str:
    """A sha256, in hex, of what a backbone answers, under which what was computed with it can be kept.

    It covers both halves (the fingerprint tells nothing of the decoder), the schedule, the condition, the kind of
    device and the precision. Made once and remembered.
    """
    if backbone not in _identities:
        _identities[backbone] = _identity(backbone)
    return _identities[backbone]


@torch.no_grad()
def _identity(backbone: Backbone) -> str:
    generator = torch.Generator().manual_seed(1)
    weight = next(backbone.parameters(), torch.empty(0))
    x_t = torch.randn(1, *x_shape(backbone), generator=generator).to(weight)
    eps = backbone(x_t, torch.full((1,), len(backbone.alphas_cumprod) / 2, device=weight.device))[0].float().cpu()
    projected = torch.randn(8, eps.numel(), generator=generator) @ eps.flatten() / eps.numel() ** 0.5
    told = {
        "h": probe(backbone).fingerprint,
        "eps": [round(value, 4) for value in projected.tolist()],
        "alphas_cumprod": tensor_sha256(backbone.alphas_cumprod),
        "condition": backbone.condition,
        "device": weight.device.type,
        "dtype": str(weight.dtype),
    }
    return sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The largest difference between two fingerprints, number by number."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
