"""A U-Net under other assumptions: the same weights, read otherwise."""

import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import Timesteps
from diffusers.models.resnet import Downsample2D
from torch import Tensor, nn

from hspace import Backbone, SplitUNet

HEADS = (1, 2, 4, 8)
Change = Callable[[SplitUNet], None]
M = TypeVar("M", bound=nn.Module)


def alternatives(backbone: Backbone) -> Iterator[tuple[str, Backbone]]:
    """The backbone with one assumption changed at a time, each a copy, with what it assumes."""
    if not isinstance(backbone, SplitUNet):
        return
    for what, change in _changes(backbone):
        other = copy.deepcopy(backbone)
        with torch.no_grad():
            change(other)
        yield what, other


def _changes(backbone: SplitUNet) -> Iterator[tuple[str, Change]]:
    unet = backbone.unet
    yield from _of_attentions(unet)
    yield from _of_norms(unet)
    padded = list(_padded(unet))
    if padded:
        yield f"padding of downsampling: {'right and bottom' if padded[0].padding else 'all sides'}", _pad
    flip, shift = not unet.time_proj.flip_sin_to_cos, 0 if unet.time_proj.downscale_freq_shift else 1
    order = "cosine, sine" if flip else "sine, cosine"
    yield f"time embedding: {order}", lambda one: _set(one, Timesteps, "flip_sin_to_cos", flip)
    spread = f"time embedding: frequencies over half - {shift}"
    yield spread, lambda one: _set(one, Timesteps, "downscale_freq_shift", shift)
    kind = "v_prediction" if backbone.prediction_type == "epsilon" else "epsilon"
    yield f"prediction type: {kind}", lambda one: setattr(one, "prediction_type", kind)
    T = len(backbone.alphas_cumprod)
    for scale in {1.0, 0.25, 1000 / T} - {backbone.timestep_scale}:
        yield f"timestep scale: {scale:g}", lambda one, scale=scale: setattr(one, "timestep_scale", scale)  # type: ignore[misc]


def _of_attentions(unet: UNet2DModel) -> Iterator[tuple[str, Change]]:
    attentions = list(_all(unet, Attention))
    counts = {one.heads for one in attentions}
    if max(counts, default=1) > 1:
        yield "order of q, k, v: all q, all k, all v", lambda one: _reorder(one, None, undo=True)
        yield "order of q, k, v: those of each head in turn", lambda one: _reorder(one, None, undo=False)
    for heads in HEADS:
        if counts == {heads} or any(one.inner_dim % heads for one in attentions):
            continue

        def apart(one: SplitUNet, heads: int = heads) -> None:
            _set_heads(one, heads)

        def in_turn(one: SplitUNet, heads: int = heads) -> None:
            _reorder(one, None, undo=True)
            _reorder(one, heads, undo=False)
            _set_heads(one, heads)

        yield f"heads: {heads}", apart
        yield f"heads: {heads}, with q, k, v of each head in turn", in_turn


def _of_norms(unet: UNet2DModel) -> Iterator[tuple[str, Change]]:
    norms = list(_all(unet, nn.GroupNorm))
    groups, eps = norms[0].num_groups, norms[0].eps
    for other in (groups // 2, groups * 2):
        if other and not any(one.num_channels % other for one in norms):
            yield f"norm groups: {other}", lambda one, n=other: _set(one, nn.GroupNorm, "num_groups", n)  # type: ignore[misc]
    changed = 1e-5 if eps < 5e-6 else 1e-6
    yield f"norm eps: {changed:g}", lambda one: _set(one, nn.GroupNorm, "eps", changed)


def _all(unet: nn.Module, kind: type[M]) -> Iterator[M]:
    return (module for module in unet.modules() if isinstance(module, kind))


def _set(backbone: SplitUNet, kind: type[nn.Module], name: str, value: object) -> None:
    for module in _all(backbone.unet, kind):
        setattr(module, name, value)


def _padded(unet: nn.Module) -> Iterator[Downsample2D]:
    return (one for one in _all(unet, Downsample2D) if isinstance(one.conv, nn.Conv2d))


def _pad(backbone: SplitUNet) -> None:
    for one in _padded(backbone.unet):
        one.padding = 1 - one.padding
        one.conv.padding = (one.padding, one.padding)


def _set_heads(backbone: SplitUNet, heads: int) -> None:
    for one in _all(backbone.unet, Attention):
        one.heads = one.sliceable_head_dim = heads
        one.scale = (one.inner_dim // heads) ** -0.5


def _reorder(backbone: SplitUNet, heads: int | None, undo: bool) -> None:
    """Reads the rows of q, k, v as those of each head in turn, or, to undo that, as all q, all k, all v."""
    for one in _all(backbone.unet, Attention):
        layers = (one.to_q, one.to_k, one.to_v)
        for kind in ("weight", "bias"):
            if getattr(one.to_q, kind) is not None:
                rows = [getattr(layer, kind) for layer in layers]
                for layer, part in zip(layers, _rows(rows, heads or one.heads, undo), strict=True):
                    getattr(layer, kind).copy_(part)


def _rows(rows: list[Tensor], heads: int, undo: bool) -> list[Tensor]:
    rest = rows[0].shape[1:]
    if undo:
        fused = torch.stack([one.reshape(heads, -1, *rest) for one in rows], dim=1)
        return [part.clone() for part in fused.reshape(-1, *rest).chunk(3)]
    fused = torch.cat(rows).reshape(heads, 3, -1, *rest)
    return [fused[:, index].reshape(-1, *rest).clone() for index in range(3)]
