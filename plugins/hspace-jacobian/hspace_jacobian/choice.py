"""Which engine carries the vectors: the fastest that works on this network, and proves it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from hspace.errors import HspaceError, UsageError
from hspace_jacobian.engines import ENGINES, REVERSE, Engine, Map, Replay, Reverse
from hspace_jacobian.tape import Unsupported

EngineName = Literal["auto", "replay", "jvp", "double_vjp"]
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Choice:
    """An engine that works, f(z) (1, *codomain), and why the faster ones were passed over ("" where none was)."""

    engine: Engine
    h: Tensor
    note: str


def choose(f: Map, z: Tensor, name: EngineName, low: torch.dtype | None = None) -> Choice:
    """The engine of that name, or with "auto" the first of `ENGINES` that works at z (1, *domain).

    `low` is a precision that engines other than replay compute in. Every engine must give the cotangents that plain
    reverse mode gives, and tangents that are adjoint to them. Raises UsageError where the one that was named fails
    and HspaceError where all do.
    """
    failures: list[str] = []
    for candidate in ENGINES if name == "auto" else (name,):
        try:
            engine = _made(candidate, f, z, low)
            h = sound(engine.h) if isinstance(engine, Replay) else primal(f, z)
            _prove(engine, f, z, h)
            return Choice(engine, h, "; ".join(failures))
        except (Unsupported, RuntimeError, ArithmeticError) as error:  # NotImplementedError is a RuntimeError
            primal(f, z)  # an error of f itself is no failure of an engine
            failures.append(f"{candidate}: {str(error).splitlines()[0]}")
    if name != "auto":
        raise UsageError(f"the engine {name!r} does not work on this network ({failures[0]}). Use engine='auto'.")
    raise HspaceError(f"no engine can differentiate this network. {'; '.join(failures)}")


def primal(f: Map, z: Tensor) -> Tensor:
    """f(z) (1, *codomain), refused where it is no batch of one finite point."""
    with torch.inference_mode(False), torch.no_grad():
        return sound(f(z.detach().clone()))


def sound(h: Tensor) -> Tensor:
    """h. Raises UsageError where it is no batch of one point, HspaceError where it is not finite."""
    if h.ndim == 0 or len(h) != 1:
        raise UsageError(f"f must map (B, ...) to (B, ...); for B = 1 it returned the shape {tuple(h.shape)}")
    return finite(h, "f(z)")


def finite(x: Tensor, name: str) -> Tensor:
    """x. Raises HspaceError where it is not finite."""
    if not x.sum().isfinite() and not x.isfinite().all():  # the sum is cheaper, and spreads what is not finite
        raise HspaceError(f"{name} contains NaN or infinity, so there is no Jacobian to decompose at this point")
    return x


def _made(name: str, f: Map, z: Tensor, low: torch.dtype | None) -> Engine:
    if name == "replay":
        return Replay(f, z, lift=z.dtype in HALF)
    return REVERSE[name](f, z, low=low)


def _prove(engine: Engine, f: Map, z: Tensor, h: Tensor) -> None:
    """Raises Unsupported where the engine's products are not those of reverse mode."""
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(1, *x.shape, generator=generator).to(x.device, engine.dtype) for x in (h, z))
    Jv, Ju = finite(engine.push(v), "a product J v"), finite(engine.pull(u), "a product Jᵀu")
    allowed = tolerance(torch.finfo(z.dtype).eps)
    if isinstance(engine, Replay):
        exact = finite(Reverse(f, z).pull(u.to(z.dtype)), "a product Jᵀu").to(Ju)
        engine.primals += 1
        if (Ju - exact).norm() > allowed * exact.norm():
            raise Unsupported("its cotangents differ from those of reverse mode")
    if ((Jv * u).sum() - (v * Ju).sum()).abs() > allowed * Jv.norm() * u.norm():
        raise Unsupported("its tangents are not adjoint to its cotangents")


def tolerance(eps: float) -> float:
    """How far two ways to the same product may differ, relative to its size, in a precision of `eps`."""
    return min(10 * sqrt(eps), 0.2)
