"""One pass of a network, watched operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

HALF = (torch.float16, torch.bfloat16)


class Unsupported(Exception):
    """The network does something whose derivative cannot be told for sure from what was seen."""


@dataclass(frozen=True)
class Seen:
    """One operation that read something that depends on the input."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any


@dataclass(frozen=True)
class Renamed:
    """From here on the tensor `name` has the value that `value` has."""

    name: Tensor
    value: Tensor


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the aten operations that depend on `z`, in their order.

    Writing in place is followed where nothing else can have seen the tensor, and refused elsewhere.
    """

    def __init__(self, z: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Seen | Renamed] = []
        self._followed: dict[int, Tensor] = {id(z): z}  # kept, so that no id is used twice
        self._read: dict[int, Any] = {}  # storages that a derivative may hold, kept for the same reason

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        followed = any(id(x) in self._followed for x in tensors((args, kwargs)))
        if _mutates(func):
            return self._in_place(func, args, kwargs, followed)
        out = func(*args, **kwargs)
        if followed:
            self._keep(Seen(func, args, kwargs, out))
        return out

    def _keep(self, seen: Seen) -> None:
        self.events.append(seen)
        self._followed.update((id(x), x) for x in tensors(seen.out))
        self._read.update((_storage(x), x.untyped_storage()) for x in tensors((seen.args, seen.kwargs)))

    def _in_place(self, func: Any, args: Any, kwargs: Any, followed: bool) -> Any:
        """x.op_() as x = op(x)."""
        named = {argument.name: x for argument, x in zip(func._schema.arguments, args, strict=False)} | kwargs
        written = [named[a.name] for a in func._schema.arguments if _is_written(a) and a.name in named]
        if any(_storage(x) in self._read for x in tensors(written)):
            raise Unsupported(f"{func} writes into a tensor that was read before")
        if not followed:
            return func(*args, **kwargs)
        name = name_of(func)
        functional = getattr(getattr(torch.ops.aten, name.removesuffix("_"), None), func._overloadname, None)
        alone = len(written) == 1 and written[0] is args[0] and not args[0]._is_view()
        if functional is None or not alone or id(args[0]) not in self._followed:
            raise Unsupported(f"{func} writes in place")
        x, before = args[0], args[0].clone()  # what a derivative may hold
        out = functional(before, *args[1:], **kwargs)
        self.events.append(Renamed(before, x))
        self._followed[id(before)] = before
        self._keep(Seen(functional, (before, *args[1:]), kwargs, out))
        self.events.append(Renamed(x, out))
        return func(*args, **kwargs)


class Lift(TorchFunctionMode):
    """Turns half precision into float32 on the way into every function, whether it comes as a tensor or as a dtype."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        writes = name.endswith("_") and not name.endswith("__")
        if writes and any(x.dtype in HALF for x in tensors(args)):
            raise Unsupported(f"{name} writes in place, into half precision")
        args, kwargs = tree_map(_lifted, (args, kwargs or {}))
        return func(*args, **kwargs)


def record(f: Callable[[Tensor], Tensor], z: Tensor, *, lift: bool = False) -> tuple[Tensor, Tensor, Recorder]:
    """(the tensor that f saw, f of it, all that happened), from one evaluation of f at z (1, *domain).

    With `lift`, half precision becomes float32 on the way into every operation, so that a network in bfloat16 is
    evaluated in float32, with the weights it has. Raises Unsupported.
    """
    z = z.float() if lift and z.dtype in HALF else z.clone()
    with torch.no_grad(), Recorder(z) as recorder, Lift() if lift else nullcontext():
        h = f(z)
    return z, h, recorder


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts; pytrees do the same in ten times the time."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from tensors(branch)
    elif isinstance(tree, dict):
        yield from tensors(list(tree.values()))


@cache
def name_of(func: Any) -> str:
    """An operation's name in aten."""
    return str(func._schema.name).removeprefix("aten::")


@cache
def _mutates(func: Any) -> bool:
    return bool(func._schema.is_mutable)


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and bool(argument.alias_info.is_write)


def _storage(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)


def _lifted(x: Any) -> Any:
    if isinstance(x, torch.dtype):
        return torch.float32 if x in HALF else x
    return x.float() if isinstance(x, Tensor) and x.dtype in HALF else x
