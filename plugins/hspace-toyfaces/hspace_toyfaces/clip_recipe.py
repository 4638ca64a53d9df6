"""The recipe of a tiny CLIP."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import NonNegativeFloat, PositiveInt

from hspace_toyfaces.recipes import Recipe

HEAD_WIDTH = 32
CONTEXT = 32


class ClipRecipe(Recipe):
    """A CLIP of open_clip's, on rendered faces and captions.

    A batch has `pairs` pairs of faces that differ in one attribute, `tampered` pictures with a part pasted on or
    teeth under a frown, and single faces for the rest; of all of them `named` attributes are asked. `noise` is the
    largest standard deviation of the noise that is added to the images, which are in [-1, 1].
    """

    kind: Literal["clip"]
    image_size: PositiveInt = 64
    image_sizes: tuple[PositiveInt, ...] = (64, 32)
    width: PositiveInt = 20
    layers: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1, 1)
    text_width: PositiveInt = 96
    text_layers: PositiveInt = 2
    embed_dim: PositiveInt = 96
    pairs: PositiveInt = 32
    tampered: PositiveInt = 24
    named: PositiveInt = 8
    naming_weight: NonNegativeFloat = 1.0
    attribute_weight: NonNegativeFloat = 10.0
    direction_weight: NonNegativeFloat = 1.0
    noise: NonNegativeFloat = 0.15

    def model_config_of(self, vocabulary: int) -> dict[str, Any]:
        """The `model_cfg` of open_clip for a vocabulary of that many tokens."""
        return {
            "embed_dim": self.embed_dim,
            "vision_cfg": {
                "layers": list(self.layers),
                "width": self.width,
                "head_width": HEAD_WIDTH,
                "image_size": self.image_size,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": vocabulary,
                "width": self.text_width,
                "heads": 4,
                "layers": self.text_layers,
            },
        }
