"""An encoder: pictures and texts as unit vectors of one space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor


class Encoder(ABC):
    """What CLIP is to a finder or a metric; built by a plugin's `load(device)`.

    `name` says in words what it is. `digest` is a sha256, in hex, of all that its vectors depend on: two encoders
    with one digest give the same vectors, so that what was computed with it can be kept.
    """

    name: str
    digest: str

    @abstractmethod
    def images(self, x: Tensor) -> Tensor:
        """Unit vectors (B, D) of images (B, 3, H, W) in [-1, 1] of any size; differentiable."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, D) of the texts, without gradient.

        Raises UsageError for an empty text; warns of one that is too long to be read whole.
        """
