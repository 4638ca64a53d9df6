"""The derivatives of arithmetic: entry by entry, and by matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hspace_jacobian.tape.builder import Call, rule
from hspace_jacobian.tape.convolution import Convolution
from hspace_jacobian.tape.linear import Broadcast, Identity, LeftTimes, Linear, Scale, Softmax, Times
from hspace_jacobian.tape.recorder import Unsupported

POINTWISE = (
    *("silu", "gelu", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "mish", "hardtanh", "hardswish"),
    *("hardsigmoid", "log_sigmoid", "relu6", "exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "rsqrt", "square"),
    *("reciprocal", "sin", "cos", "erf", "abs", "neg", "clamp", "clamp_min", "clamp_max"),
)


@rule(*POINTWISE)
def pointwise(call: Call) -> None:
    """y = phi(x): t -> phi'(x) t, with phi' from autograd."""
    x = call.args[0]
    call.edge(x, call.scale(x, derivative(call, x)))


@rule("pow")
def power(call: Call) -> None:
    """y = x^p for a number p."""
    x, exponent = call.args
    if isinstance(exponent, Tensor) or not isinstance(x, Tensor):
        raise Unsupported("a power with a tensor as exponent")
    call.edge(x, call.scale(x, derivative(call, x)))


def derivative(call: Call, x: Tensor) -> Tensor:
    """phi'(x) of an operation that works entry by entry."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        y = call.func(leaf, *call.args[1:], **call.kwargs)
    return torch.autograd.grad(y, leaf, torch.ones_like(y))[0]


@rule("add", "sub", "rsub")
def add(call: Call) -> None:
    """y = x + alpha other, and the differences."""
    alpha = call.get("alpha") or 1
    _linear(call, call["self"], -alpha if call.name == "rsub" else 1)
    _linear(call, call["other"], {"add": alpha, "sub": -alpha, "rsub": 1}[call.name])


@rule("mul")
def mul(call: Call) -> None:
    """y = x other: t -> other t + x dother."""
    x, other = call["self"], call["other"]
    _linear(call, x, other)
    _linear(call, other, x)


@rule("div")
def div(call: Call) -> None:
    """y = x / other: t -> t / other - (y / other) dother."""
    if call.get("rounding_mode") is not None:
        raise Unsupported("a division that rounds")
    x, other = call["self"], call["other"]
    _linear(call, x, 1 / other)
    if call.depends(other):
        _linear(call, other, -call.out / other)


@rule("where")
def where(call: Call) -> None:
    """y = x where the condition holds, other elsewhere."""
    condition = call["condition"]
    for name, mask in (("self", condition), ("other", ~condition)):
        if call.depends(call[name]):
            _linear(call, call[name], mask.to(call.out.dtype))


@rule("masked_fill")
def masked_fill(call: Call) -> None:
    """y = x but for masked entries."""
    _linear(call, call["self"], (~call["mask"]).to(call.out.dtype))


def _linear(call: Call, x: Any, factor: Any) -> None:
    """x times a factor, both broadcast to the output."""
    if not call.depends(x):
        return
    linears: list[Linear] = [] if x.shape == call.out.shape else [Broadcast(x.shape, call.out.shape)]
    if isinstance(factor, Tensor) and factor.ndim == 0:
        factor = factor.item()
    linears.append(Identity() if isinstance(factor, int | float) and factor == 1 else call.scale(x, factor))
    call.edge(x, *linears)


@rule("mm", "bmm")
def matmul(call: Call) -> None:
    """Y = A B: t -> dA B + A dB."""
    _products(call, *call.args)


@rule("addmm", "baddbmm")
def addmm(call: Call) -> None:
    """Y = beta C + alpha A B."""
    alpha, beta = call["alpha"], call["beta"]
    _products(call, call.get("mat1", "batch1"), call.get("mat2", "batch2"), alpha)
    if beta != 0:
        _linear(call, call["self"], beta)


def _products(call: Call, A: Tensor, B: Tensor, alpha: float = 1) -> None:
    after = [] if alpha == 1 else [Scale(alpha)]
    call.edge(A, Times(B), *after)
    call.edge(B, LeftTimes(A), *after)


@rule("_softmax", "_safe_softmax")
def softmax(call: Call) -> None:
    """P = softmax(S)."""
    x, dim = call["self"], call["dim"]
    call.edge(x, Softmax(call.out, dim if dim < 0 else dim - x.ndim))


@rule("convolution", "_convolution")
def convolution(call: Call) -> None:
    """y = conv(x, W) + b."""
    x, weight = call["input"], call["weight"]
    if call.depends(weight) or (call.depends(call["bias"])):
        raise Unsupported("a convolution whose weight depends on the input")
    dims = weight.ndim - 2
    stride, padding, dilation, output_padding = (
        tuple(value) * (dims if len(value) == 1 else 1)
        for value in (call[name] for name in ("stride", "padding", "dilation", "output_padding"))
    )
    call.edge(
        x, Convolution(weight, stride, padding, dilation, call["transposed"], output_padding, call["groups"], x.shape)
    )
