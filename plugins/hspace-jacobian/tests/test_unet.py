"""The decomposition of a U-Net's Jacobians against the full ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hspace_jacobian import JacobianSVD, topk_jacobian_svd

Decomposed = Callable[[str, int], JacobianSVD]
RANKS = [1, 5, 20]
MAPS = ["encoder", "decoder", "x_t -> P_t"]


@pytest.fixture(scope="module")
def decomposed(maps: dict[str, Any]) -> Decomposed:
    """The k leading triplets of a map, computed once for all facts about them."""
    done: dict[tuple[str, int], JacobianSVD] = {}

    def decompose(name: str, k: int) -> JacobianSVD:
        if (name, k) not in done:
            done[name, k] = topk_jacobian_svd(maps[name].f, maps[name].z, k, tol=1e-8, block=5)
        return done[name, k]

    return decompose


def outside(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Sine of the largest principal angle between the spans of orthonormal rows (k, n)."""
    return float(torch.linalg.matrix_norm(found - found @ exact.mT @ exact, ord=2))


@pytest.mark.parametrize("k", RANKS)
@pytest.mark.parametrize("name", MAPS)
class TestAgainstTheFullJacobian:
    def test_singular_values_agree(self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int) -> None:
        svd = decomposed(name, k)
        assert svd.converged
        assert svd.verified
        torch.testing.assert_close(svd.S, maps[name].S[:k], rtol=1e-9, atol=0)

    def test_singular_subspaces_agree(self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int) -> None:
        svd, known = decomposed(name, k), maps[name]
        assert known.S[k - 1] - known.S[k] > 5e-4 * known.S[k]  # so that the span of the leading k means something
        assert outside(svd.U.flatten(1), known.U[:k]) < 1e-6
        assert outside(svd.V.flatten(1), known.V[:k]) < 1e-6

    def test_vectors_are_orthonormal(self, decomposed: Decomposed, name: str, k: int) -> None:
        svd = decomposed(name, k)
        for rows in (svd.U.flatten(1), svd.V.flatten(1)):
            torch.testing.assert_close(rows @ rows.mT, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-12)

    def test_the_reported_residual_is_the_recomputed_one(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int
    ) -> None:
        svd, J = decomposed(name, k), maps[name].J
        U, V = svd.U.flatten(1), svd.V.flatten(1)
        residual = (U @ J - svd.S[:, None] * V).norm(dim=1)
        torch.testing.assert_close(svd.residual, residual, rtol=0, atol=1e-8)
        torch.testing.assert_close(V @ J.mT, svd.S[:, None] * U, rtol=0, atol=1e-8)

    def test_the_next_singular_value_is_bounded_from_below(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int
    ) -> None:
        assert decomposed(name, k).sigma_next == pytest.approx(float(maps[name].S[k]), rel=1e-3)


@pytest.mark.parametrize("block", [1, 2, 5])
def test_every_block_size_finds_the_same_triplets(maps: dict[str, Any], block: int) -> None:
    known = maps["encoder"]
    svd = topk_jacobian_svd(known.f, known.z, 5, tol=1e-8, block=block)
    assert svd.verified
    torch.testing.assert_close(svd.S, known.S[:5], rtol=1e-9, atol=0)
    assert outside(svd.U.flatten(1), known.U[:5]) < 1e-6


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_angle_bounds_hold_at_the_default_tolerance(maps: dict[str, Any], name: str) -> None:
    known = maps[name]
    svd = topk_jacobian_svd(known.f, known.z, 20, block=2)
    for rows, exact in ((svd.U.flatten(1), known.U[:20]), (svd.V.flatten(1), known.V[:20])):
        overlap = (rows * exact).sum(dim=1, keepdim=True)
        sine = (rows - overlap * exact).norm(dim=1)
        assert (sine <= svd.angle_bound.sin() + 1e-12).all()
    assert (svd.S / known.S[:20] - 1).abs().max() < 1e-5


def test_shapes_are_those_of_h_and_x_t(decomposed: Decomposed) -> None:
    svd = decomposed("encoder", 5)
    assert svd.U.shape == (5, 32, 8, 8)
    assert svd.V.shape == (5, 3, 16, 16)


def test_fifty_triplets_stay_within_their_budget(maps: dict[str, Any]) -> None:
    known = maps["encoder"]
    svd = topk_jacobian_svd(known.f, known.z, 50, verify="off")
    assert svd.converged
    assert svd.counts["jvp"] <= 3.4 * 50  # a regression guard: 3.2 when it was written
    assert svd.counts["vjp"] <= 3.4 * 50
