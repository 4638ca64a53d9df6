"""S_dir: does a picture change the way the prompts do?"""

from __future__ import annotations

import torch
from torch import Tensor

from hspace.per_picture import PairMetric
from hspace_clip.texts import BARE, TEMPLATES, text_direction
from hspace_metrics.encoders import Named, encoder_of

UNCHANGED = 1e-6
"""A change of a unit vector below this is rounding, and has no direction."""


class SDir(PairMetric):
    """cos(dI, dT) of each picture: dI from the first to the second picture of a pair, dT from prompt to prompt.

    Source: Kwon et al., Asyrp (S_dir); per picture, where the paper does not say how it averages.
    """

    missing = "The encoder sees no change"

    def __init__(
        self, encoder: Named, prompts: tuple[str, str], templates: bool = True, device: str = "cpu", seed: int = 0
    ) -> None:
        super().__init__(seed)
        self.encoder = encoder_of(encoder, device)
        used = TEMPLATES if templates else BARE
        self.delta_T = text_direction(self.encoder, *prompts, used)
        words = f"{len(used)} templates" if templates else "no template"
        self.protocol = (
            f"cos(dI, dT) per picture by {self.encoder.name}, from {prompts[0]!r} to {prompts[1]!r} in {words}; "
            f"dI from the first of the pair"
        )

    def look(self, images: Tensor) -> Tensor:
        return self.encoder.images(images).float().cpu()

    def compare(self, one: Tensor, other: Tensor) -> dict[str, Tensor]:
        change = other - one
        length = change.norm(dim=1)
        return {"s-dir": torch.where(length > UNCHANGED, change @ self.delta_T / length, torch.nan)}


def build(encoder: Named, prompts: tuple[str, str], templates: bool = True, device: str = "cpu", seed: int = 0) -> SDir:
    """S_dir by an encoder, with the prompts in hspace-clip's templates, or bare. Raises as `text_direction` does."""
    return SDir(encoder, prompts, templates, device, seed)
