"""What a head does to pictures that it has not seen, as an encoder sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace import Backbone, Encoder, Head
from hspace.sampling import Edit, edit, sample
from hspace_asyrp.window import Window

MOST_STEPS = 20
"""As many steps as tell effects apart; the step rule makes them much the same in more."""
ROUNDS = 4
LARGEST = 8.0
"""The largest strength that is looked at, in units of the trained head."""


@dataclass(frozen=True)
class Effect:
    """Changes of pictures' embeddings: (B,) along the text direction, and (B,) across it."""

    along: Tensor
    across: Tensor

    @property
    def mean(self) -> float:
        """The mean change along the direction."""
        return float(self.along.mean())


class Bench:
    """Held-out latents (B, C, H, W) on which heads are compared; their unedited pictures are drawn once."""

    def __init__(
        self, backbone: Backbone, encoder: Encoder, delta_T: Tensor, x_T: Tensor, window: Window, steps_found: int
    ) -> None:
        self.backbone, self.encoder, self.delta_T, self.x_T = backbone, encoder, delta_T, x_T
        self.window, self.steps_found, self.steps = window, steps_found, min(steps_found, MOST_STEPS)
        with torch.no_grad():
            self.plain = encoder.images(backbone.x0_to_image(sample(backbone, x_T, steps=self.steps)))

    @torch.no_grad()
    def effect(self, head: Head, strength: float) -> Effect:
        """What the head does at a strength."""
        edits = [Edit(head, strength, self.window.t_edit, self.steps_found, t_start=self.window.t_start)]
        pictures = self.backbone.x0_to_image(edit(self.backbone, self.x_T, edits, steps=self.steps))
        change = self.encoder.images(pictures) - self.plain
        along = change @ self.delta_T
        return Effect(along, (change - along[:, None] * self.delta_T).norm(dim=1))

    def strength_for(self, head: Head, full: float) -> float:
        """The strength, at most LARGEST, at which the mean effect is the full one.

        Secant steps from strength 1: the effect grows with the strength, though not in proportion.
        """
        strength, low, high = 1.0, 0.0, LARGEST
        for _ in range(ROUNDS):
            mean = self.effect(head, strength).mean
            low, high = (max(low, strength), high) if mean < full else (low, min(high, strength))
            guess = strength * full / mean if mean > 0 else high
            strength = guess if low < guess < high else (low + high) / 2
        return strength

    def noise(self, heads: Sequence[Head], strength: float) -> float:
        """The largest mean effect, of either sign, that heads nobody trained have at a strength."""
        return max(abs(self.effect(head, strength).mean) for head in heads)
