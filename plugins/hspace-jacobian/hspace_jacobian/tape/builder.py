"""From the operations of one pass to the derivative: which rule makes which edges."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hspace_jacobian.tape.convolution import Convolution, laid_out
from hspace_jacobian.tape.linear import Linear, Scale, fitted
from hspace_jacobian.tape.recorder import Recorder, Renamed, Seen, Unsupported, name_of, tensors
from hspace_jacobian.tape.tape import Edge, Tape, compiled

Rule = Callable[["Call"], None]
RULES: dict[str, Rule] = {}
"""The derivative of each operation by its aten name: what `rule` has collected."""
SHAPES = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
CUT = {"detach", *SHAPES}
"""Operations that carry no derivative, as in autograd: they read a shape, or are told to."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a function as the derivative of these aten operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def build(z: Tensor, h: Any, recorder: Recorder) -> Tape:
    """The derivative of h with respect to z, from what `record` saw. Raises Unsupported."""
    values = Values(z)
    for event in recorder.events:
        if isinstance(event, Renamed):
            values.rename(event.name, event.value)
        else:
            _apply(values, event)
    output = values.get(h) if isinstance(h, Tensor) else None
    if output is None:
        raise Unsupported("the output does not depend on the input by operations that were seen")
    return compiled(values.edges, output)


def _apply(values: Values, seen: Seen) -> None:
    outputs = [x for x in tensors(seen.out) if x.is_floating_point()]
    name = name_of(seen.func)
    depends = any(values.get(x) is not None for x in tensors((seen.args, seen.kwargs)))
    if not depends or not outputs or name in CUT:
        return
    if name not in RULES:
        raise Unsupported(f"the operation {seen.func} is not known")
    RULES[name](Call(values, seen))
    for x in outputs:
        values.close(x, seen)


@cache
def _parameters(func: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    declared = func._schema.arguments
    defaults = {argument.name: argument.default_value for argument in declared if argument.has_default_value()}
    return tuple(argument.name for argument in declared), defaults


class Values:
    """The places of tensors on the tape, and the edges between them."""

    def __init__(self, z: Tensor) -> None:
        self.edges: list[Edge] = []
        self._places: dict[int, int] = {}
        self._unknown: dict[int, Any] = {}
        self._images: set[int] = set()
        self._kept: list[Tensor] = []
        self._count = 0
        self.track(z)

    def get(self, x: Tensor) -> int | None:
        """The place of x, None where it does not depend on the input. Raises Unsupported where that is not known."""
        if id(x) in self._unknown:
            raise Unsupported(f"an output of {self._unknown[id(x)]} is used whose derivative is not known")
        return self._places.get(id(x))

    def track(self, x: Tensor) -> int:
        """The place of x, made where there is none."""
        if id(x) not in self._places:
            self._places[id(x)] = self.new()
        return self._places[id(x)]

    def new(self) -> int:
        """A new place, after all others."""
        self._count += 1
        return self._count - 1

    def hidden(self, shape: torch.Size) -> Tensor:
        """A tensor that stands for a value nobody saw; kept, so that its id is not used again."""
        self._kept.append(torch.empty(shape, device="meta"))
        self.track(self._kept[-1])
        return self._kept[-1]

    def rename(self, name: Tensor, value: Tensor) -> None:
        """From here on the tensor `name` is at the place of `value`."""
        place = self.get(value)
        if place is not None:
            self._places[id(name)] = place

    def close(self, x: Tensor, seen: Seen) -> None:
        """What no rule reached must not be read."""
        if id(x) not in self._places:
            self._unknown[id(x)] = seen.func

    def link(self, source: int, target: int, linear: Linear, *, same_shape: bool) -> None:
        """An edge. What comes out of a convolution is an image, and what has its shape too."""
        self.edges.append(Edge(source, target, linear))
        if isinstance(linear, Convolution) or (source in self._images and same_shape):
            self._images.add(target)

    def is_image(self, x: Tensor) -> bool:
        """Whether tangents of x are images, with channels innermost where that is faster."""
        return self.get(x) in self._images


class Call:
    """One operation as a rule sees it: its arguments by name, its output, and the edges to make."""

    def __init__(self, values: Values, seen: Seen) -> None:
        self.values, self.func, self.args, self.kwargs, self.out = values, seen.func, seen.args, seen.kwargs, seen.out
        self.name = name_of(seen.func)
        names, defaults = _parameters(self.func)
        self._named = {**defaults, **dict(zip(names, self.args, strict=False)), **self.kwargs}

    def __getitem__(self, name: str) -> Any:
        return self._named[name]

    def get(self, *names: str) -> Any:
        """The first of these arguments that the operation has, or None."""
        return next((self._named[name] for name in names if name in self._named), None)

    def depends(self, x: Any) -> bool:
        """Whether x depends on the input."""
        return isinstance(x, Tensor) and self.values.get(x) is not None

    def edge(self, x: Any, *linears: Linear, out: Tensor | None = None) -> None:
        """The output (or another one, `out`) depends on x through these maps, one after the other."""
        if not self.depends(x):
            return
        out = self.out if out is None else out
        source, target, shape = self.values.track(x), self.values.track(out), x.shape
        for linear in linears[:-1]:  # all but the last go to the output's shape
            middle = self.values.new()
            self.values.link(source, middle, fitted(linear, shape, out.shape), same_shape=False)
            source, shape = middle, out.shape
        self.values.link(source, target, fitted(linears[-1], shape, out.shape), same_shape=x.shape == out.shape)

    def hidden(self, shape: torch.Size) -> Tensor:
        """A stand-in for a value of this shape that the operation does not return."""
        return self.values.hidden(shape)

    def scale(self, x: Tensor, d: Any) -> Scale:
        """The map of x by d, laid out as tangents of x will be."""
        return Scale(laid_out(d) if isinstance(d, Tensor) and self.values.is_image(x) else d)
