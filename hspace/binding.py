"""Conditions as text, and backbones bound to them: `label=207`, and guidance with `scale=3`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hspace.backbone import Backbone, Guided
from hspace.errors import RefusedError, UsageError
from hspace.fingerprint import x_shape
from hspace.loading import Device, load_backbone

SCALE, UNCONDITIONAL = "scale", "unconditional"
NULL = "null_condition"
"""The fact of a card that says what to bind a model to for no condition, e.g. {"label": 1000}."""


def parse_conditions(pairs: Sequence[str]) -> dict[str, Any]:
    """The conditions of KEY=VALUE pairs; a value that reads as a number is one.

    Raises UsageError for a pair without '=', or a key that is given twice.
    """
    conditions: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--bind takes KEY=VALUE, as in label=207; {pair!r} was given")
        if key in conditions:
            raise UsageError(f"--bind {key} was given twice")
        conditions[key] = _value(text)
    return conditions


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def describe(condition: Mapping[str, Any]) -> str:
    """The options that bind to a condition, as they are written on the command line."""
    return " ".join(f"--bind {key}={value}" for key, value in condition.items())


def bound(backbone: Backbone, conditions: Mapping[str, Any], device: Device = "cpu") -> Backbone:
    """The backbone under the conditions; with `scale` it is guided.

    The unconditional half of guidance is the backbone under its card's `null_condition`, or the backbone that
    `unconditional` names. Raises UsageError for a condition the backbone does not take, for guidance without a
    condition or without an unconditional half; RefusedError for a half that does not fit.
    """
    words = {key: value for key, value in conditions.items() if key not in (SCALE, UNCONDITIONAL)}
    under = backbone.bind(**words)
    if SCALE not in conditions:
        if UNCONDITIONAL in conditions:
            raise UsageError(f"{UNCONDITIONAL} is a half of guidance; give {SCALE} too")
        return under
    scale = conditions[SCALE]
    if not isinstance(scale, int | float) or not abs(scale) < float("inf"):
        raise UsageError(f"scale must be a number; {scale!r} was given")
    if not words:
        raise UsageError("scale guides towards a condition, and none was given; bind one too, as in label=207")
    return Guided(under, _unconditional(backbone, conditions.get(UNCONDITIONAL), device), float(scale))


def _unconditional(backbone: Backbone, named: Any, device: Device) -> Backbone:
    if named is None:
        null: Mapping[str, Any] | None = backbone.card.facts.get(NULL) if backbone.card else None
        if null is not None:
            return backbone.bind(**null)
        name = backbone.card.name if backbone.card else "this backbone"
        raise UsageError(
            f"{name} has no class that means 'no condition', so guidance has no unconditional half. Leave scale away, "
            f"or name an unconditional backbone of the same pictures and schedule with {UNCONDITIONAL}=BACKBONE."
        )
    other = load_backbone(str(named), device=device).to(next(backbone.parameters(), torch.empty(0)).dtype)
    if x_shape(other) != x_shape(backbone):
        raise RefusedError(f"x_t of {named} is {x_shape(other)}, not {x_shape(backbone)}; it cannot be the other half")
    ours, theirs = backbone.alphas_cumprod, other.alphas_cumprod
    if len(ours) != len(theirs) or not torch.allclose(ours, theirs, rtol=1e-4):
        raise RefusedError(f"{named} has another noise schedule; it cannot be the other half of guidance")
    return other
