"""The derivatives of normalisations."""

from __future__ import annotations

from torch import Tensor

from hspace_jacobian.tape.builder import Call, rule
from hspace_jacobian.tape.convolution import laid_out
from hspace_jacobian.tape.normal import GroupNormal, LayerNormal, RMSNormal
from hspace_jacobian.tape.recorder import Unsupported


@rule("native_group_norm")
def group_norm(call: Call) -> None:
    """y = (x - mean) / std * w + b over groups of channels."""
    _only(call, "input", "weight", "bias")
    x, groups = call["input"], call["group"]
    spatial = x.shape[2:]
    y, mean, rstd = call.out
    mean, rstd = _per_channel(mean, x), _per_channel(rstd, x)
    scale = rstd if call["weight"] is None else rstd * call["weight"].reshape(-1, *[1] * len(spatial))
    call.edge(x, GroupNormal(laid_out((x - mean) * rstd), scale.expand(x.shape), groups), out=y)


def _per_channel(value: Tensor, x: Tensor) -> Tensor:
    """(B, C, 1, ...) of a value (B, groups)."""
    B, C, *spatial = x.shape
    return value.repeat_interleave(C // value.shape[1], dim=1).reshape(B, C, *[1] * len(spatial)).to(x.dtype)


@rule("native_layer_norm")
def layer_norm(call: Call) -> None:
    """y = (x - mean) / std * w + b over the last dimensions."""
    _only(call, "input", "weight", "bias")
    x, (_, mean, rstd) = call["input"], call.out
    scale = rstd if call["weight"] is None else rstd * call["weight"]
    call.edge(x, LayerNormal((x - mean) * rstd, scale, len(call["normalized_shape"])), out=call.out[0])


@rule("_fused_rms_norm")
def rms_norm(call: Call) -> None:
    """y = x / rms(x) * w over the last dimensions."""
    _only(call, "input", "weight")
    x, (_, rstd) = call["input"], call.out
    scale = rstd if call["weight"] is None else rstd * call["weight"]
    call.edge(x, RMSNormal(x * rstd, scale, len(call["normalized_shape"])), out=call.out[0])


@rule("_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def batch_norm(call: Call) -> None:
    """y = (x - running mean) / running std * w + b; in training its rows would depend on each other."""
    x, weight = call["input"], call["weight"]
    if call.get("training"):
        raise Unsupported("batch norm in training mode")
    std: Tensor = (call["running_var"] + call.get("eps", "epsilon")).sqrt()
    factor = 1 / std if weight is None else weight / std
    call.edge(x, call.scale(x, factor.reshape(-1, *[1] * (x.ndim - 2))), out=call.out[0])


def _only(call: Call, x: str, *others: str) -> None:
    if any(call.depends(call[name]) for name in others):
        raise Unsupported(f"a normalisation whose weights depend on {x}")
