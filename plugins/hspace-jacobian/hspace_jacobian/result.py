"""What the decomposition of a Jacobian returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class JacobianSVD:
    """The leading singular triplets J v_i = sigma_i u_i, largest first, and how far each can be trusted.

    k is what was asked for, or the rank of J where that is smaller. Tensors are in the precision and on the device
    of z; angles are in radians.
    """

    U: Tensor  # (k, *codomain), orthonormal; the sign rule is in signs.py
    S: Tensor  # (k,)
    V: Tensor  # (k, *domain), orthonormal
    residual: Tensor  # (k,) ‖Jᵀu - sigma v‖, up to rounding; J v = sigma u holds to rounding
    rel_residual: Tensor  # (k,) residual / sigma
    gap: Tensor  # (k,) distance of sigma to the rest of the spectrum; see bounds.py
    angle_bound: Tensor  # (k,) largest angle of u and of v to the exact ones, by residual and gap; at most pi/2
    cluster: Tensor  # (k,) int64 label; where two triplets share one, only their span is determined
    tail: Tensor  # (p,) further Ritz values, each a lower bound on its singular value
    energy_fraction: float  # of ‖J‖_F², in (0, 1]; exact where J was exhausted, else estimated; NaN where J is zero
    converged: bool  # every rel_residual is at most tol
    reason: str  # why the search ended
    sigma_next: float | None  # lower bound on the first singular value left out; None where nothing is left out
    verified: bool  # a fresh random start found no triplet that belongs among these (or J was exhausted)
    rank: int | None  # of J, where the search exhausted it
    counts: dict[str, int]  # primal, jvp, vjp: network samples; low_jvp, low_vjp: those of them in low precision
    engine: str  # how the products were computed: "replay", "jvp" or "double_vjp"
    engine_note: str  # why faster engines were passed over; "" where none was
    precision: str  # of the products; the small decompositions are always float64
    seconds: float  # wall clock

    @property
    def products(self) -> int:
        """How many products with J and Jᵀ were used."""
        return self.counts["jvp"] + self.counts["vjp"]
