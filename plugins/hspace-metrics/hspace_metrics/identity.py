"""Identity: is it still the same, to an encoder?"""

from __future__ import annotations

from torch import Tensor

from hspace.per_picture import PairMetric
from hspace_metrics.encoders import Named, encoder_of


class Identity(PairMetric):
    """The cosine of an encoder's vectors of two pictures: 1 for the same; a face recogniser makes it one of faces."""

    def __init__(self, encoder: Named, device: str = "cpu", seed: int = 0) -> None:
        super().__init__(seed)
        self.encoder = encoder_of(encoder, device)
        self.protocol = f"cosine of the vectors of {self.encoder.name}"

    def look(self, images: Tensor) -> Tensor:
        return self.encoder.images(images)

    def compare(self, one: Tensor, other: Tensor) -> dict[str, Tensor]:
        return {"identity": (one * other).sum(dim=1)}


def build(encoder: Named, model: str = "", device: str = "cpu", seed: int = 0) -> Identity:
    """Identity by the encoder `model`, or else by the one that reads the prompts. Raises as `load_encoder` does."""
    return Identity(model or encoder, device, seed)
