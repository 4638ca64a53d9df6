"""The derivative of attention, whichever kernel computed it."""

from __future__ import annotations

import torch
from torch import Tensor

from hspace_jacobian.tape.builder import Call, rule
from hspace_jacobian.tape.linear import LeftTimes, QueryTimes, Softmax, Times
from hspace_jacobian.tape.recorder import Unsupported

KERNELS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)


@rule(*KERNELS)
def attention(call: Call) -> None:
    """O = P V, P = softmax(S), S = Q Kᵀ / sqrt(d): dO = P dV + dP V, dP = P (dS - rowsum(P dS)), dS = dQ Kᵀ + Q dKᵀ.

    P is computed again, since fused kernels do not return it.
    """
    q, k, v = call["query"], call["key"], call["value"]
    mask = call.get("attn_mask", "attn_bias")
    if call.get("dropout_p"):
        raise Unsupported("attention with dropout")
    if call.depends(mask) or q.shape[:-2] != k.shape[:-2]:
        raise Unsupported("attention with a mask that depends on the input, or with grouped queries")
    scale = call.get("scale") or q.shape[-1] ** -0.5
    P = _probabilities(q, k, scale, mask, causal=bool(call.get("is_causal")))
    out = call.out[0]
    if call.depends(q) or call.depends(k):
        scores, shares = call.hidden(P.shape), call.hidden(P.shape)  # S and P, which the kernel keeps to itself
        call.edge(q, Times((k * scale).mT), out=scores)
        call.edge(k, QueryTimes(q * scale), out=scores)
        call.edge(scores, Softmax(P, -1), out=shares)
        call.edge(shares, Times(v), out=out)
    call.edge(v, LeftTimes(P), out=out)


def _probabilities(q: Tensor, k: Tensor, scale: float, mask: Tensor | None, *, causal: bool) -> Tensor:
    S = (q * scale) @ k.mT
    if causal:
        S = S.masked_fill(torch.ones(S.shape[-2:], dtype=torch.bool, device=S.device).triu(1), -torch.inf)
    if mask is not None:
        S = S.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else S + mask
    return S.softmax(-1)
