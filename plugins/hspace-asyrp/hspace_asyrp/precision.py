"""Networks in bf16, with what goes in and comes out in float32: the steps between them and the loss stay exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone, Encoder, State

Precision = Literal["auto", "fp32", "bf16"]


def in_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether the networks run in bf16: where it is asked for, and by `auto` on a GPU that has it."""
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16" or (precision == "auto" and has_it)


def _autocast(tensor: Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, torch.bfloat16)


class BackboneInBf16(Backbone):
    """A backbone whose two halves, and first stage, run under bf16 autocast."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.condition = inner, inner.condition

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        with _autocast(x_t):
            state = self.inner.encode_h(x_t, t)
        return replace(state, h=state.h.float(), temb=None if state.temb is None else state.temb.float())

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        with _autocast(state.x_t):
            return self.inner.decode_h(state, delta_h).float()

    def image_to_x0(self, image: Tensor) -> Tensor:
        with _autocast(image):
            return self.inner.image_to_x0(image).float()

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        with _autocast(x_0):
            return self.inner.x0_to_image(x_0).float()


class EncoderInBf16(Encoder):
    """An encoder whose pictures are read under bf16 autocast."""

    def __init__(self, inner: Encoder) -> None:
        self.inner, self.name, self.digest = inner, inner.name, inner.digest

    def images(self, x: Tensor) -> Tensor:
        with _autocast(x):
            return self.inner.images(x).float()

    def texts(self, texts: Sequence[str]) -> Tensor:
        return self.inner.texts(texts)
