"""A network at one point as a graph of linear maps: recorded once, then replayed for tangents and cotangents."""

from collections.abc import Callable

from torch import Tensor

from hspace_jacobian.tape import rules, rules_attention, rules_norm, rules_shape
from hspace_jacobian.tape.builder import build
from hspace_jacobian.tape.recorder import Unsupported, record
from hspace_jacobian.tape.tape import Tape

__all__ = ["Tape", "Unsupported", "linearize", "rules", "rules_attention", "rules_norm", "rules_shape"]


def linearize(f: Callable[[Tensor], Tensor], z: Tensor, *, lift: bool = False) -> tuple[Tensor, Tape]:
    """(f(z), the derivative of f at z), from one evaluation; with `lift`, in float32 at least. Raises Unsupported."""
    z, h, recorder = record(f, z, lift=lift)
    return h, build(z, h, recorder)
