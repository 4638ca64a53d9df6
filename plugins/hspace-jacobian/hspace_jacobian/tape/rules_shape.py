"""The derivatives of operations that move, copy, leave out or sum entries: they are linear themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hspace_jacobian.tape.builder import Call, rule
from hspace_jacobian.tape.linear import Broadcast, Identity, Moved, Through
from hspace_jacobian.tape.recorder import Unsupported


@rule("clone", "alias", "contiguous", "lift_fresh", "_to_copy", "to")
def same(call: Call) -> None:
    """y = x."""
    call.edge(call.args[0], Identity())


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "flatten", "unflatten")
def view(call: Call) -> None:
    """y = x in another shape, in the same order."""
    source, target = call.args[0].shape, call.out.shape
    call.edge(call.args[0], Moved(lambda t: t.reshape(-1, *target[1:]), lambda c: c.reshape(-1, *source[1:])))


@rule("transpose", "t", "permute")
def permute(call: Call) -> None:
    """y = x with its dimensions in another order."""
    x = call.args[0]
    sizes = torch.empty(*range(1, x.ndim + 1), device="meta")  # dimension i has the size i + 1
    order = [size - 1 for size in call.func(sizes, *call.args[1:]).shape]
    whole = order[:1] == [0]
    forward = order if whole else [0, *(dim + 1 for dim in order)]
    back = [forward.index(dim) for dim in range(len(forward))]
    call.edge(x, Moved(lambda t: t.permute(forward), lambda c: c.permute(back), whole))


@rule("expand")
def expand(call: Call) -> None:
    """y = x repeated along dimensions of size 1."""
    call.edge(call.args[0], Broadcast(call.args[0].shape, call.out.shape))


@rule("cat")
def cat(call: Call) -> None:
    """y = the tensors side by side."""
    tensors, dim = call["tensors"], call["dim"]
    start = 0
    for x in tensors:
        if x.shape != (0,):  # which torch skips
            _place(call, x, dim % call.out.ndim, start, call.out)
            start += x.shape[dim]


def _place(call: Call, x: Tensor, dim: int, start: int, out: Tensor) -> None:
    size, total = x.shape[dim], out.shape[dim]
    margins = [0, 0] * (out.ndim - 1 - dim) + [start, total - start - size]
    if dim == 0:
        call.edge(x, Moved(lambda t: pad(t, margins), lambda c: c.narrow(1, start, size), whole=False), out=out)
    else:
        call.edge(x, Moved(lambda t: pad(t, margins), lambda c: c.narrow(dim, start, size)), out=out)


@rule("slice", "select", "narrow")
def narrow(call: Call) -> None:
    """y = a part of x."""
    _generic(call)


@rule("split", "split_with_sizes", "chunk", "unbind", "unsafe_split")
def split(call: Call) -> None:
    """Several parts of x."""
    x = call.args[0]
    for index, out in enumerate(call.out):
        part = _part(call.func, call.args[1:], call.kwargs, index)
        call.edge(x, Through(torch.vmap(part), x.shape), out=out)


def _part(func: Any, args: Any, kwargs: Any, index: int) -> Callable[[Tensor], Tensor]:
    return lambda x: func(x, *args, **kwargs)[index]


@rule("constant_pad_nd")
def constant_pad(call: Call) -> None:
    """y = x with a margin of numbers."""
    x, margins = call["self"], call["pad"]
    whole = len(margins) < 2 * x.ndim  # the batch gets none
    call.edge(x, Moved(lambda t: pad(t, margins), lambda c: pad(c, [-margin for margin in margins]), whole))


@rule("sum", "mean")
def reduce(call: Call) -> None:
    """Sums and means over dimensions that are not the batch's."""
    x, dims = call["self"], call.get("dim")
    if not dims or any(dim % x.ndim == 0 for dim in dims):
        raise Unsupported("a sum over the batch")
    _generic(call)


@rule("flip", "roll", "repeat", "unfold", "im2col", "col2im", "stack", "diagonal", "cumsum", "repeat_interleave")
def rare(call: Call) -> None:
    """Other linear operations of one tensor."""
    if not isinstance(call.args[0], Tensor):
        raise Unsupported(f"{call.func} of several tensors")
    _generic(call)


@rule(
    "upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d",
    "upsample_bicubic2d", "_upsample_bilinear2d_aa", "avg_pool1d", "avg_pool2d", "_adaptive_avg_pool2d",
    "reflection_pad2d", "replication_pad2d", "reflection_pad1d", "replication_pad1d", "pixel_shuffle",
    "pixel_unshuffle",
)  # fmt: skip
def resample(call: Call) -> None:
    """Linear operations of a batch of images or signals."""
    x = call.args[0]
    if x.ndim != call.out.ndim or x.shape[0] != call.out.shape[0]:
        raise Unsupported(f"{call.func} of an unbatched tensor")
    func, args, kwargs = call.func, call.args[1:], call.kwargs
    call.edge(x, Through(lambda t: func(t, *args, **kwargs), x.shape, whole=True))


def _generic(call: Call) -> None:
    func, args, kwargs = call.func, call.args[1:], call.kwargs
    call.edge(call.args[0], Through(torch.vmap(lambda x: func(x, *args, **kwargs)), call.args[0].shape))
