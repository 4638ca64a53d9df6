"""Convolutions without bias, in the memory layout and with the weights that the processor likes best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from hspace_jacobian.tape.linear import Linear

Kernel = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Convolution(Linear):
    """t -> the convolution of t (b B, C, *spatial) by `weight`, as torch.convolution has it.

    `source` is the shape of the value. Where stride is 1 the transpose is a convolution by the flipped weight.
    """

    weight: Tensor
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    source: torch.Size

    def push(self, t: Tensor) -> Tensor:
        return self._forward(laid_out(t))

    def pull(self, c: Tensor) -> Tensor:
        return self._back(laid_out(c))

    def splits(self, source: torch.Size) -> bool:
        return False

    def activations(self) -> list[Tensor]:
        return []

    @cached_property
    def _forward(self) -> Kernel:
        return _kernel(
            self.weight, self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups
        )

    @cached_property
    def _back(self) -> Kernel:
        if self._flips():
            flipped = self.weight.transpose(0, 1).flip(tuple(range(2, self.weight.ndim)))
            padding = tuple(size - 1 - pad for size, pad in zip(self.weight.shape[2:], self.padding, strict=True))
            return _kernel(flipped, self.stride, padding, self.dilation, False, self.output_padding, 1)
        return self._general_back

    def _flips(self) -> bool:
        ones = all(step == 1 for step in (*self.stride, *self.dilation)) and self.groups == 1 and not self.transposed
        return ones and all(pad < size for size, pad in zip(self.weight.shape[2:], self.padding, strict=True))

    def _general_back(self, c: Tensor) -> Tensor:
        x = c.new_empty(1).expand(len(c), *self.source[1:])  # only its shape is read
        weight = laid_out(self.weight)
        out: Tensor = torch.ops.aten.convolution_backward(
            c, x, weight, None, self.stride, self.padding, self.dilation,
            self.transposed, self.output_padding, self.groups, (True, False, False),
        )[0]  # fmt: skip
        return out


def laid_out(x: Tensor) -> Tensor:
    """x contiguous, with the channels of images (B, C, H, W) innermost where they are convolved faster like that."""
    return x.contiguous(memory_format=_layout(x.ndim, x.device.type, x.dtype))


@cache
def _layout(ndim: int, device: str, dtype: torch.dtype) -> torch.memory_format:
    if device == "cpu":
        faster = dtype != torch.float64 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    else:
        faster = dtype in (torch.float16, torch.bfloat16)
    return torch.channels_last if ndim == 4 and faster else torch.contiguous_format


def _kernel(
    weight: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    transposed: bool,
    output_padding: tuple[int, ...],
    groups: int,
) -> Kernel:
    weight = laid_out(weight)
    if not transposed and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.ndim == 4:
        packed = _packed(weight, stride, padding, dilation, groups)
        if packed is not None:
            return packed
    return lambda x: torch.convolution(x, weight, None, stride, padding, dilation, transposed, output_padding, groups)


def _packed(
    weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> Kernel | None:
    """The kernel with its weight reordered once instead of at every call, where this torch can do that."""
    try:
        reorder = torch._C._nn.mkldnn_reorder_conv2d_weight  # what torch's own compiler uses
        convolve = torch.ops.mkldnn._convolution_pointwise
        reordered = reorder(weight.to_mkldnn(), list(padding), list(stride), list(dilation), groups)
    except (AttributeError, RuntimeError):
        return None
    return lambda x: convolve(x, reordered, None, padding, stride, dilation, groups, "none", [], "")
