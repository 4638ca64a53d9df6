"""The plan that settings mean, once they are checked."""

from __future__ import annotations

from typing import Any, get_args

from hspace.errors import UsageError
from hspace_asyrp.loss import Terms
from hspace_asyrp.precision import Precision
from hspace_asyrp.training import Fidelity, Plan, Trajectory


def planned(
    terms: Terms,
    *,
    epochs: int,
    batch: int,
    rate: float | None,
    fidelity: Fidelity,
    precision: Precision,
    trajectory: Trajectory,
    decay: float | None,
    decay_every: int | None,
) -> Plan:
    """The plan of a training; what is None is the usual value of its `fidelity`.

    Raises UsageError for a value out of its range, and for values that do not go together.
    """
    _one_of("fidelity", fidelity, Fidelity)
    _one_of("precision", precision, Precision)
    _one_of("trajectory", trajectory, Trajectory)
    if (fidelity, trajectory) == ("official", "unedited"):
        raise UsageError("fidelity=official walks along the edited trajectory; leave trajectory=unedited away")
    if fidelity == "paper" and (decay, decay_every) != (None, None):
        raise UsageError("decay and decay_every are those of fidelity=official; the paper's rate falls along a cosine")
    rate = rate if rate is not None else (0.5 if fidelity == "official" else 2e-3)
    decay, decay_every = 0.9 if decay is None else decay, 20 if decay_every is None else decay_every
    positive = {"epochs": epochs, "batch": batch, "rate": rate, "decay": decay, "decay_every": decay_every}
    for name, number in positive.items():
        if not number > 0:
            raise UsageError(f"{name} must be more than 0; {number} was given")
    return Plan(
        epochs=epochs, batch=batch, rate=rate, terms=terms, fidelity=fidelity, precision=precision,
        trajectory=trajectory, decay=decay, decay_every=decay_every,
    )  # fmt: skip


def _one_of(name: str, value: str, known: Any) -> None:
    if value not in get_args(known):
        raise UsageError(f"{name} must be {' or '.join(get_args(known))}; {value!r} was given")
