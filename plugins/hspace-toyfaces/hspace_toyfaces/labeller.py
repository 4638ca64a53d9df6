"""The labeller `attributes`: which attribute of a toy face an edit moves, by the regressor, on faces that are known."""

from __future__ import annotations

from torch import Tensor

from hspace.backbone import Backbone
from hspace.labeller import Labeller

from .attributes import NAMES
from .inverted_faces import inverted_faces
from .measuring import regressor_changes
from .regressor import Regressor, load_regressor

NAMED = 0.5
"""The mean change in SD from which on a direction is named after an attribute; random ones stay well below."""


class Attributes(Labeller):
    """Reads D of every attribute, on rendered faces that nothing was trained on, inverted into the backbone."""

    names = NAMES
    unit = "D in SD of the attribute among random faces, by the regressor"
    least = NAMED

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor

    def latents(self, backbone: Backbone, n: int, seed: int, steps: int) -> tuple[Tensor, str]:
        faces = inverted_faces(backbone, n, seed, steps)
        return faces.x_T, faces.protocol

    def scores(self, plain: Tensor, edited: Tensor) -> Tensor:
        return regressor_changes(plain, edited, self.regressor)


def build() -> Attributes:
    """The labeller with the zoo's regressor. Raises NotFoundError when no zoo has one."""
    return Attributes(load_regressor())
