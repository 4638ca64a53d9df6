"""The official parameter lists, layer by layer, each beside diffusers' name for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hspace.errors import RefusedError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    """A layer: its official name, diffusers' (three for a fused q, k, v), and the shape of its official weight.

    `groups` says how the rows of a fused q, k, v are laid out: that many groups of [q, k, v]. `linear` marks a
    1x1 convolution that is a linear layer in diffusers.
    """

    official: str
    ours: str | tuple[str, str, str]
    shape: tuple[int, ...]
    bias: bool = True
    linear: bool = False
    groups: int = 1

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Its official parameters' names and shapes."""
        yield f"{self.official}.weight", self.shape
        if self.bias:
            yield f"{self.official}.bias", self.shape[:1]

    def convert(self, kind: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """diffusers' names and tensors of its "weight" or "bias"."""
        if self.linear and kind == "weight":
            tensor = tensor.reshape(self.shape[:2])
        if isinstance(self.ours, str):
            yield f"{self.ours}.{kind}", tensor
            return
        rows = tensor.reshape(self.groups, 3, -1, *tensor.shape[1:])
        for index, name in enumerate(self.ours):
            yield f"{name}.{kind}", rows[:, index].clone().reshape(-1, *tensor.shape[1:])


@dataclass(frozen=True)
class Names:
    """What a layout calls the layers of a residual block, norm to shortcut, and of an attention."""

    norm1: str
    conv1: str
    time: str
    norm2: str
    conv2: str
    shortcut: str
    qkv: str | tuple[str, str, str]
    pixel: tuple[int, ...]
    """The trailing 1s of the shape of an attention's weights."""


def resnet(
    names: Names, official: str, ours: str, channels: tuple[int, int], temb: int | None, scale_shift: bool = False
) -> Iterator[Layer]:
    """A residual block from channels[0] to channels[1]; `temb` is the width of the time embedding, if it sees one."""
    before, after = channels
    yield Layer(f"{official}.{names.norm1}", f"{ours}.norm1", (before,))
    yield Layer(f"{official}.{names.conv1}", f"{ours}.conv1", (after, before, 3, 3))
    if temb is not None:
        yield Layer(f"{official}.{names.time}", f"{ours}.time_emb_proj", (after * (1 + scale_shift), temb))
    yield Layer(f"{official}.{names.norm2}", f"{ours}.norm2", (after,))
    yield Layer(f"{official}.{names.conv2}", f"{ours}.conv2", (after, after, 3, 3))
    if before != after:
        yield Layer(f"{official}.{names.shortcut}", f"{ours}.conv_shortcut", (after, before, 1, 1))


def attention(names: Names, official: str, ours: str, width: int, groups: int = 1) -> Iterator[Layer]:
    """An attention over the pixels of a feature map."""
    yield Layer(f"{official}.norm", f"{ours}.group_norm", (width,))
    each = (f"{ours}.to_q", f"{ours}.to_k", f"{ours}.to_v")
    if isinstance(names.qkv, str):
        fused = (3 * width, width, *names.pixel)
        yield Layer(f"{official}.{names.qkv}", each, fused, linear=True, groups=groups)
    else:
        for theirs, to in zip(names.qkv, each, strict=True):
            yield Layer(f"{official}.{theirs}", to, (width, width, *names.pixel), linear=True)
    yield Layer(f"{official}.proj_out", f"{ours}.to_out.0", (width, width, *names.pixel), linear=True)


def official_shapes(layers: Iterable[Layer]) -> Shapes:
    """The official parameter list: names and shapes."""
    return {name: shape for layer in layers for name, shape in layer.shapes()}


def differences(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What keeps parameters from being the wanted ones: missing, left over, or of another shape."""
    missing = [f"{name!r} is missing" for name in wanted if name not in found]
    left_over = [f"{name!r} is left over" for name in found if name not in wanted]
    misshapen = [
        f"{name!r} is {list(found[name])} in the file, {list(shape)} by the arguments"
        for name, shape in wanted.items()
        if name in found and tuple(found[name]) != shape
    ]
    return misshapen + missing + left_over


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of many, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def convert(weights: Mapping[str, Tensor], layers: Sequence[Layer]) -> dict[str, Tensor]:
    """diffusers' state dict of an official one.

    Raises RefusedError, naming it, when a tensor is missing, left over, or misshapen.
    """
    wrong = differences({name: tuple(t.shape) for name, t in weights.items()}, official_shapes(layers))
    if wrong:
        raise RefusedError(f"the weights are not those of the arguments: {some(wrong)}")
    converted: dict[str, Tensor] = {}
    for layer in layers:
        for name, _ in layer.shapes():
            converted.update(layer.convert(name.rpartition(".")[2], weights[name]))
    return converted
