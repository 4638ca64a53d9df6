"""A colour-blind world in which the answers are known: an encoder that sees the mean colour, and words for colours."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Encoder
from hspace.testing.fixtures import hspace_home as hspace_home

COLOURS = {"grey": (0.0, 0.0, 0.0), "red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}


class Colours(Encoder):
    """Images by their mean colour, texts by the one colour they name; a fourth number keeps grey from being 0."""

    name, digest = "colours", "0" * 64

    def __init__(self) -> None:
        self.seen = 0

    def images(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self._vectors(x[:, :3].mean(dim=(2, 3)))

    def texts(self, texts: Sequence[str]) -> Tensor:
        named = [next(colour for name, colour in COLOURS.items() if name in text) for text in texts]
        return self._vectors(torch.tensor(named))

    @staticmethod
    def _vectors(colours: Tensor) -> Tensor:
        return normalize(torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1), dim=1)


@pytest.fixture
def colours() -> Colours:
    """The encoder that sees colours."""
    torch.set_num_threads(1)
    return Colours()
