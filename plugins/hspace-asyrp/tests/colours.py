"""A world of colours in which the answers are known: an encoder that sees the mean colour, and words for colours."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone, Direction, Encoder, Task
from hspace.sampling import latents
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build

STEPS = 8
QUICK = {"fidelity": "paper", "head": "table", "t_edit": 400, "epochs": 12, "rate": 0.05}
NATURAL = {"fidelity": "natural", "t_edit": None, "rate": None}
"""On top of those: the finder's own choices, but for the epochs."""
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


def task(encoder: Colours, backbone: Backbone, n: int = 8, prompts: tuple[str, str] = ("grey", "red")) -> Task:
    return Task(x_T=latents(backbone, n, 0), steps=STEPS, prompts=prompts, encoder=encoder)


def found(encoder: Colours, **config: object) -> tuple[Backbone, Direction]:
    backbone = PlantedBackbone()
    settings = {**QUICK, **config}
    (direction,) = build(**settings).find(backbone, task(encoder, backbone))
    return backbone, direction
