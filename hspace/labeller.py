"""A labeller: says in words what an edit did to pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from hspace.backbone import Backbone


class Labeller(ABC):
    """A judge of edits that knows some names; built by a plugin's `build(**config)`.

    `names` are the names it knows, `unit` says what its scores are. `least` is the mean score from which on a name
    holds; None where scores mean nothing on their own, so that random directions must tell.
    """

    names: tuple[str, ...]
    unit: str
    least: float | None

    @abstractmethod
    def latents(self, backbone: Backbone, n: int, seed: int, steps: int) -> tuple[Tensor, str]:
        """x_T (n, C, H, W) of pictures to look at edits on, and where they are from, in words."""

    @abstractmethod
    def scores(self, plain: Tensor, edited: Tensor) -> Tensor:
        """How far each picture went towards each name, (n, len(names)) on the CPU; negative is away from it.

        The pictures, unedited and edited, are (n, 3, S, S) float32 in [-1, 1] on the CPU.
        """
