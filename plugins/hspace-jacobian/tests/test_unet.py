"""The decomposition of a U-Net's Jacobians against the full ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hspace_jacobian import JacobianSVD, topk_jacobian_svd

Decomposed = Callable[[str, int, int], JacobianSVD]
RANKS = [1, 5, 20]
BLOCKS = [1, 2, 5]
MAPS = ["encoder", "decoder", "pmp"]
RESTRICTED = ["encoder, sum", "decoder, mask", "x0", "pmp, mask"]


@pytest.fixture(scope="module")
def decomposed(maps: dict[str, Any]) -> Decomposed:
    """The k leading triplets of a map, computed once for all facts about them."""
    done: dict[tuple[str, int, int], JacobianSVD] = {}

    def decompose(name: str, k: int, block: int) -> JacobianSVD:
        if (name, k, block) not in done:
            done[name, k, block] = topk_jacobian_svd(maps[name].f, maps[name].z, k, tol=1e-8, block=block)
        return done[name, k, block]

    return decompose


def outside(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Sine of the largest principal angle between the spans of orthonormal rows (k, n)."""
    return float(torch.linalg.matrix_norm(found - found @ exact.mT @ exact, ord=2))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("k", RANKS)
@pytest.mark.parametrize("name", MAPS)
class TestAgainstTheFullJacobian:
    def test_singular_values_agree(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int, block: int
    ) -> None:
        svd = decomposed(name, k, block)
        assert (svd.converged, svd.verified, svd.engine) == (True, True, "replay")
        torch.testing.assert_close(svd.S, maps[name].S[:k], rtol=1e-9, atol=0)

    def test_singular_subspaces_agree(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int, block: int
    ) -> None:
        svd, known = decomposed(name, k, block), maps[name]
        assert known.S[k - 1] - known.S[k] > 5e-4 * known.S[k]  # so that the span of the leading k means something
        assert outside(svd.U.flatten(1), known.U[:k]) < 1e-6
        assert outside(svd.V.flatten(1), known.V[:k]) < 1e-6

    def test_vectors_are_orthonormal(self, decomposed: Decomposed, name: str, k: int, block: int) -> None:
        svd = decomposed(name, k, block)
        for rows in (svd.U.flatten(1), svd.V.flatten(1)):
            torch.testing.assert_close(rows @ rows.mT, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-12)

    def test_the_reported_residual_is_the_recomputed_one(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int, block: int
    ) -> None:
        svd, J = decomposed(name, k, block), maps[name].J
        U, V = svd.U.flatten(1), svd.V.flatten(1)
        residual = (U @ J - svd.S[:, None] * V).norm(dim=1)
        torch.testing.assert_close(svd.residual, residual, rtol=0, atol=1e-8)
        torch.testing.assert_close(V @ J.mT, svd.S[:, None] * U, rtol=0, atol=1e-8)
        assert (residual <= 1.001e-8 * svd.S[0]).all()

    def test_the_next_singular_value_is_bounded_from_below(
        self, maps: dict[str, Any], decomposed: Decomposed, name: str, k: int, block: int
    ) -> None:
        assert decomposed(name, k, block).sigma_next == pytest.approx(float(maps[name].S[k]), rel=1e-3)


@pytest.mark.parametrize("name", RESTRICTED)
def test_a_restricted_map_agrees(maps: dict[str, Any], name: str) -> None:
    known = maps[name]
    svd = topk_jacobian_svd(known.f, known.z, 5, tol=1e-8)
    assert svd.verified
    torch.testing.assert_close(svd.S, known.S[:5], rtol=1e-9, atol=0)
    assert outside(svd.U.flatten(1), known.U[:5]) < 1e-6
    assert outside(svd.V.flatten(1), known.V[:5]) < 1e-6


def test_a_masked_map_has_left_vectors_inside_the_mask(maps: dict[str, Any]) -> None:
    svd = topk_jacobian_svd(maps["pmp, mask"].f, maps["pmp, mask"].z, 3)
    assert svd.U[..., :4, :].abs().max() < 1e-12
    assert float(svd.U[..., 4:10, 5:12].norm()) == pytest.approx(3**0.5, rel=1e-6)


def test_pooled_h_is_written_out(maps: dict[str, Any]) -> None:
    svd = topk_jacobian_svd(maps["encoder, sum"].f, maps["encoder, sum"].z, 20)
    assert (svd.counts["jvp"], svd.counts["vjp"], svd.rank) == (0, 32, 32)


@pytest.mark.parametrize("name", ["cross attention, linear", "dit", "classic attention"])
def test_other_networks_agree(of_kind: Callable[..., Any], name: str) -> None:
    f, z = of_kind(name, torch.float64)
    J = torch.autograd.functional.jacobian(f, z).reshape(-1, z.numel())
    svd = topk_jacobian_svd(f, z, 5, tol=1e-8)
    assert (svd.verified, svd.engine) == (True, "replay")
    torch.testing.assert_close(svd.S, torch.linalg.svdvals(J)[:5], rtol=1e-7 if "classic" in name else 1e-9, atol=0)


@pytest.mark.parametrize("engine", ["replay", "jvp", "double_vjp"])
def test_every_engine_finds_the_same_triplets(maps: dict[str, Any], engine: Any) -> None:
    known = maps["encoder"]
    svd = topk_jacobian_svd(known.f, known.z, 3, tol=1e-6, engine=engine, verify="off")
    assert svd.engine == engine
    torch.testing.assert_close(svd.S, known.S[:3], rtol=1e-9, atol=0)


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
    svd = decomposed("encoder", 5, 5)
    assert svd.U.shape == (5, 32, 8, 8)
    assert svd.V.shape == (5, 3, 16, 16)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_fifty_triplets_stay_within_their_budget(maps: dict[str, Any], name: str) -> None:
    known = maps[name]
    svd = topk_jacobian_svd(known.f, known.z, 50, verify="off")
    assert svd.converged
    assert svd.counts["jvp"] <= 4.2 * 50  # random weights, the flattest spectra there are
    assert svd.counts["vjp"] <= 4.2 * 50
