"""From a trained head to a direction: its strengths, its measurements, and whether it does anything at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hspace import Backbone, Direction, Head, Task
from hspace.fingerprint import probe
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace.sampling import latents
from hspace_asyrp.effect import ROUNDS, Bench, Effect
from hspace_asyrp.inert import InertError
from hspace_asyrp.loss import WIDTHS, Goal
from hspace_asyrp.natural import GOAL
from hspace_asyrp.scrambled import Scrambled
from hspace_asyrp.window import Window

FINDER = "asyrp"
HELD_OUT = 24
HELD_OUT_SEED = 2**32
"""Far from the seeds that people choose, so that the held-out latents are not among the trained ones."""
SCRAMBLES = 2
RANGE = (1.0, 2.0)
EFFECTS = ROUNDS + 1 + SCRAMBLES + 2 * len(RANGE)
"""How often the effect of a head on the held-out pictures is measured, in all."""
LEAST = 0.1
"""The share of the full effect, at the largest strength looked at, below which an edit is none."""
FAR = 0.5
"""How far across the direction an edit may move a picture, as a share of the way to another picture."""


def made(
    backbone: Backbone,
    task: Task,
    head: Head,
    built: tuple[str, Mapping[str, Any]],
    window: Window,
    goal: Goal,
    config: Mapping[str, Any],
) -> Direction:
    """The direction of a trained head; `built` is the head's name and config, `config` what the finder was asked for.

    Strength 1 is the full effect of the goal on held-out latents, and the range is as far as pictures stay themselves.
    Raises InertError where the head does no more than an untrained one of its size.
    """
    assert task.prompts is not None
    held_out = latents(backbone, HELD_OUT, HELD_OUT_SEED + task.seed)
    bench = Bench(backbone, task.encoder, goal.delta_T, held_out, window, task.steps)
    scale = bench.strength_for(head, goal.full)
    reached = bench.effect(head, scale)
    channels = probe(backbone).h_shape[0]
    noise = bench.noise([Scrambled(head, channels, seed) for seed in range(SCRAMBLES)], scale)
    _require_effect(reached.mean, noise, goal, task.prompts[1])
    far = FAR * _apart(bench.plain)
    most, least = (_safe(bench, head, scale, sign, far) for sign in (1, -1))
    return Direction.bind(
        backbone,
        what=_slug(task.prompts[1]),
        finder=FINDER,
        head=built[0],
        config=dict(built[1]),
        scale=scale,
        weights=head.state_dict(),
        steps=task.steps,
        t_edit=window.t_edit,
        t_boost=window.t_boost,
        t_start=window.t_start,
        strength=Strength(default=1.0, min=least, max=most),
        scope=Scope(kind="global"),
        prompts=task.prompts,
        metrics=_metrics(bench, reached, noise, goal),
        provenance=Provenance(finder=FINDER, config=dict(config), data=task.data or f"{len(task.x_T)} latents"),
    )


def _require_effect(reached: float, noise: float, goal: Goal, target: str) -> None:
    if reached <= max(noise, LEAST * goal.full):
        raise InertError(
            f"the head learnt nothing that shows: it moves unseen pictures by {reached:.3g} towards {target!r}, where "
            f"the full effect is {goal.full:.3g}; untrained heads of its size reach {noise:.3g}. Train longer "
            f"(--set epochs=), on more pictures (--samples), in a longer window (--set t_edit=), or with another "
            f"encoder."
        )


def _safe(bench: Bench, head: Head, scale: float, sign: int, far: float) -> float:
    """The largest strength of a sign, of those looked at, that leaves pictures nearer to themselves than to others.

    1 where none does.
    """
    safe = [s for s in RANGE if float(bench.effect(head, sign * s * scale).across.mean()) <= far]
    return sign * max(safe, default=RANGE[0])


def _apart(vectors: Tensor) -> float:
    """The mean distance between two different vectors of (N, D)."""
    return float(torch.pdist(vectors.cpu()).mean())


def _metrics(bench: Bench, reached: Effect, noise: float, goal: Goal) -> tuple[Measurement, ...]:
    protocol = f"change of the embedding along the text direction, unseen latents, {bench.steps} steps, strength 1"
    figures = {
        "effect": (reached.mean, protocol),
        "full_effect": (goal.full, f"{_full(goal)} along the text direction"),
        "effect_of_scrambled_heads": (noise, f"the largest of {SCRAMBLES}, as the effect"),
        "effect_across": (float(reached.across.mean()), "change across the text direction, as the effect"),
    }
    return tuple(
        Measurement(name=name, value=value, n=len(reached.along), protocol=told)
        for name, (value, told) in figures.items()
    )


def _full(goal: Goal) -> str:
    if goal.natural is None:
        return f"{WIDTHS:g} standard deviations of the training pictures"
    return f"what the backbone's own pictures lack, in the mean, of the one that scores above {GOAL:.0%} of them"


def _slug(prompt: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-") or "direction"
