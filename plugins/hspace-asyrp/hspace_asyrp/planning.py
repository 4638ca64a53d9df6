"""The plan that settings mean, once they are checked."""

from __future__ import annotations

from typing import Any, get_args

from hspace.errors import UsageError
from hspace_asyrp.loss import Terms
from hspace_asyrp.precision import Precision
from hspace_asyrp.training import Fidelity, Plan, Trajectory

EPOCHS = {"natural": 2, "paper": 4, "official": 4}
RATES = {"natural": 2.5e-4, "paper": 2e-3, "official": 0.5}
TERMS = {
    "natural": {"match": 1.0, "clip": 0.0, "recon": 30.0, "effect": 0.0},
    "paper": {"match": 0.0, "clip": 0.8, "recon": 3.0, "effect": 1.0},
    "official": {"match": 0.0, "clip": 0.8, "recon": 3.0, "effect": 0.0},
}
"""The usual weights; those that are 0 are no terms of that loss."""


def weights(fidelity: Fidelity, l1: float, identity: float, **given: float | None) -> Terms:
    """The weights of the loss, the usual ones where None was given.

    Raises UsageError for a weight of a term that this loss does not have, or an unknown fidelity.
    """
    _one_of("fidelity", fidelity, Fidelity)
    usual = TERMS[fidelity]
    for name, weight in given.items():
        if weight and not usual[name]:
            terms = ", ".join(term for term, one in usual.items() if one)
            raise UsageError(f"{name} is no term of fidelity={fidelity}; its terms are {terms}")
    chosen = {name: usual[name] if weight is None or not usual[name] else weight for name, weight in given.items()}
    return Terms(l1=l1, identity=identity, **chosen)


def planned(
    terms: Terms,
    *,
    epochs: int | None,
    batch: int,
    rate: float | None,
    by_sgd: bool,
    fidelity: Fidelity,
    precision: Precision,
    trajectory: Trajectory,
    decay: float | None,
    decay_every: int | None,
) -> Plan:
    """The plan of a training; what is None is the usual value of its `fidelity`.

    Raises UsageError for a value out of its range, and for values that do not go together.
    """
    _one_of("precision", precision, Precision)
    _one_of("trajectory", trajectory, Trajectory)
    if (fidelity, trajectory) == ("official", "unedited"):
        raise UsageError("fidelity=official walks along the edited trajectory; leave trajectory=unedited away")
    if fidelity != "official" and (decay, decay_every) != (None, None):
        raise UsageError("decay and decay_every are those of fidelity=official; any other rate falls along a cosine")
    epochs = EPOCHS[fidelity] if epochs is None else epochs
    if rate is None:
        rate = RATES["paper" if fidelity == "natural" and not by_sgd else fidelity]
    decay, decay_every = 0.9 if decay is None else decay, 20 if decay_every is None else decay_every
    positive = {"epochs": epochs, "batch": batch, "rate": rate, "decay": decay, "decay_every": decay_every}
    for name, number in positive.items():
        if not number > 0:
            raise UsageError(f"{name} must be more than 0; {number} was given")
    return Plan(
        epochs=epochs, batch=batch, rate=rate, terms=terms, fidelity=fidelity, precision=precision,
        trajectory=trajectory, decay=decay, decay_every=decay_every, by_sgd=by_sgd,
    )  # fmt: skip


def _one_of(name: str, value: str, known: Any) -> None:
    if value not in get_args(known):
        raise UsageError(f"{name} must be {' or '.join(get_args(known))}; {value!r} was given")
