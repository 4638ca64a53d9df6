"""A head: the editor that reads a state and says how to shift its h."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from hspace.backbone import State


class Head(nn.Module, ABC):
    """The map State -> delta_h; built by a plugin's `build(h_shape, temb_dim, **config)`.

    It takes the whole state because Asyrp's implicit function f_t reads the network's own time embedding.
    """

    @abstractmethod
    def forward(self, state: State) -> Tensor:
        """delta_h (B, Ch, Hh, Wh) for the state, at strength 1; row i depends on row i of the state alone."""


class Scaled(Head):
    """A head whose delta_h is another one's times `scale`: how a trained head is given a unit."""

    def __init__(self, inner: Head, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, state: State) -> Tensor:
        delta_h: Tensor = self.inner(state)
        return self.scale * delta_h
