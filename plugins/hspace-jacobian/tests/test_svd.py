"""The decomposition of maps whose singular values are prescribed."""

from collections.abc import Callable
from math import exp, isnan
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.errors import HspaceError, UsageError
from hspace_jacobian import JacobianSVD, topk_jacobian_svd

Planted = Callable[..., Any]
K = 8
FALLING = [5 * exp(-4 * i / 119) for i in range(120)]


def repeated(times: int, first: int) -> list[float]:
    """FALLING with one value repeated `times` times from index `first`."""
    return FALLING[:first] + [FALLING[first]] * times + FALLING[first + times :]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def top(known: Any, **options: Any) -> JacobianSVD:
    return topk_jacobian_svd(known.f, known.z, K, **{"tol": 1e-7, **options})


@pytest.mark.parametrize("block", [1, 2, 5])
@pytest.mark.parametrize("times", [1, 2, 3, 4])
@pytest.mark.parametrize("first", [3, K - 2], ids=["inside", "at the edge"])
def test_repeated_singular_values_are_all_found(planted: Planted, block: int, times: int, first: int) -> None:
    spectrum = repeated(times, first)
    svd = top(planted(spectrum), block=block)
    assert svd.verified
    torch.testing.assert_close(svd.S, torch.tensor(spectrum[:K], dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_check_repairs_what_one_start_vector_cannot_see(planted: Planted, seed: int) -> None:
    known = planted(repeated(3, 2))
    blind = top(known, block=1, tol=1e-2, verify="off", generator=seeded(seed))
    assert blind.converged
    assert not blind.verified
    assert float(blind.S[4]) < 0.99 * FALLING[2]  # the third copy is missing, and no residual says so
    repaired = top(known, block=1, tol=1e-2, generator=seeded(seed))
    assert repaired.verified
    torch.testing.assert_close(repaired.S, known.S[:K], rtol=1e-3, atol=0)


def test_singular_vectors_are_the_planted_ones(planted: Planted) -> None:
    known = planted(FALLING)
    svd = top(known)
    for found, exact in ((svd.U, known.U[:K]), (svd.V, known.V[:K])):
        torch.testing.assert_close((found * exact).sum(dim=1).abs(), torch.ones(K, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_map_of_rank_3_gives_3_triplets(planted: Planted, dtype: torch.dtype) -> None:
    known = planted(FALLING[:3])
    svd = topk_jacobian_svd(known.f, known.z.to(dtype), 5)
    assert svd.rank == 3
    assert svd.U.shape == (3, 120)
    assert svd.V.shape == (3, 160)
    assert svd.verified
    assert svd.sigma_next == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(svd.S.double(), known.S, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rank", [K - 1, K, K + 1, 4 * K])
def test_a_low_rank_map_ends_the_search(planted: Planted, rank: int) -> None:
    known = planted(FALLING[:rank])
    svd = top(known)
    torch.testing.assert_close(svd.S, known.S[:K], rtol=1e-9, atol=0)
    assert svd.counts["jvp"] <= rank + 40


def test_a_zero_map_has_no_triplets() -> None:
    svd = topk_jacobian_svd(lambda z: 0 * z, torch.ones(1, 50), 2)
    assert (svd.rank, svd.reason, len(svd.S)) == (0, "J is zero", 0)
    assert svd.U.shape == (0, 50)
    assert isnan(svd.energy_fraction)


@pytest.mark.parametrize(("m", "n"), [(10, 160), (120, 10), (10, 10)])
@pytest.mark.parametrize("k", [2, 10])
def test_a_small_map_is_written_out(planted: Planted, m: int, n: int, k: int) -> None:
    known = planted(FALLING[:10], m, n)
    svd = topk_jacobian_svd(known.f, known.z, k)
    assert svd.counts["jvp"] + svd.counts["vjp"] == 10
    assert svd.verified
    torch.testing.assert_close(svd.S, known.S[:k], rtol=1e-12, atol=0)
    torch.testing.assert_close(svd.U @ known.J, svd.S[:, None] * svd.V)


def test_signs_do_not_depend_on_the_start(planted: Planted) -> None:
    known = planted(FALLING)
    first, *others = [top(known, generator=seeded(seed)) for seed in range(4)]
    largest = first.U.gather(1, first.U.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()
    for other in others:
        torch.testing.assert_close(other.U, first.U, rtol=0, atol=1e-6)
        torch.testing.assert_close(other.V, first.V, rtol=0, atol=1e-6)


def test_a_reference_fixes_the_signs(planted: Planted) -> None:
    known = planted(FALLING)
    plain = top(known)
    turned = top(known, reference=-plain.U[:3])
    torch.testing.assert_close(turned.U[:3], -plain.U[:3])
    torch.testing.assert_close(turned.V[:3], -plain.V[:3])
    torch.testing.assert_close(turned.U[3:], plain.U[3:])


def test_the_same_seed_gives_the_same_bytes(planted: Planted) -> None:
    known = planted(FALLING)
    one, other = top(known, generator=seeded(3)), top(known, generator=seeded(3))
    for name in ("U", "S", "V", "residual", "tail"):
        assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("options", [{"block": 2}, {"block": 7}, {"chunk": 1}, {"chunk": 32}])
def test_neither_block_nor_chunk_changes_the_answer(planted: Planted, options: dict[str, int]) -> None:
    known = planted(FALLING)
    one, other = top(known), top(known, **options)
    torch.testing.assert_close(other.S, one.S, rtol=1e-10, atol=0)
    torch.testing.assert_close(other.U, one.U, rtol=0, atol=1e-6)


def test_float32_products_give_float32_accuracy(planted: Planted) -> None:
    known = planted(FALLING)
    svd = topk_jacobian_svd(known.f, known.z.float(), K)
    assert svd.precision == "float32"
    assert svd.U.dtype == svd.S.dtype == torch.float32
    torch.testing.assert_close(svd.S.double(), known.S[:K], rtol=2e-6, atol=0)
    torch.testing.assert_close(svd.U @ svd.U.mT, torch.eye(K), rtol=0, atol=2e-6)


def test_copies_share_a_cluster_and_claim_no_angle(planted: Planted) -> None:
    svd = top(planted(repeated(3, 2)))
    assert svd.cluster.tolist() == [0, 1, 2, 2, 2, 3, 4, 5]
    assert (svd.angle_bound[2:5] > 1).all()
    assert (svd.angle_bound[[0, 1, 5, 6, 7]] < 1e-5).all()


def test_gaps_are_distances_in_the_whole_spectrum(planted: Planted) -> None:
    svd = top(planted(FALLING))
    below = torch.tensor([FALLING[i] - FALLING[i + 1] for i in range(K)], dtype=torch.float64)
    torch.testing.assert_close(svd.gap, below, rtol=1e-2, atol=0)
    assert svd.sigma_next == pytest.approx(FALLING[K], rel=1e-3)


def test_the_energy_share_is_near_the_true_one(planted: Planted) -> None:
    total = sum(sigma**2 for sigma in FALLING)
    true = sum(sigma**2 for sigma in FALLING[:K]) / total
    estimates = [top(planted(FALLING), generator=seeded(seed)).energy_fraction for seed in range(5)]
    assert sum(estimates) / 5 == pytest.approx(true, rel=0.15)


def test_an_exhausted_map_has_an_exact_energy_share(planted: Planted) -> None:
    squares = [sigma**2 for sigma in FALLING[: K + 1]]
    assert top(planted(FALLING[: K + 1])).energy_fraction == pytest.approx(sum(squares[:K]) / sum(squares), rel=1e-9)


def test_a_budget_ends_the_search_and_says_so(planted: Planted) -> None:
    svd = top(planted(FALLING), max_products=60)
    assert not svd.converged
    assert not svd.verified
    assert svd.reason == "max_products=60 was reached"
    assert svd.counts["jvp"] + svd.counts["vjp"] == 60
    assert (svd.rel_residual > 1e-7).any()


def test_the_callback_sees_the_residuals_fall(planted: Planted) -> None:
    seen: list[float] = []
    top(planted(FALLING), callback=lambda ritz: seen.append(float(ritz.residual[K - 1])))
    assert len(seen) > 2
    assert seen[-1] < 1e-3 * seen[0]


@pytest.mark.parametrize("k", [0, 121])
def test_k_must_be_a_number_of_singular_values(planted: Planted, k: int) -> None:
    known = planted(FALLING)
    with pytest.raises(UsageError, match=f"k={k}, but J is 120 x 160 and has 120 singular values"):
        topk_jacobian_svd(known.f, known.z, k)


def test_tol_below_the_precision_is_refused(planted: Planted) -> None:
    known = planted(FALLING)
    with pytest.raises(UsageError, match=r"tol=1e-09 is below .*float32.*use float64"):
        topk_jacobian_svd(known.f, known.z.float(), K, tol=1e-9)


@pytest.mark.parametrize("option", [{"block": 0}, {"chunk": 0}, {"verify": "maybe"}], ids=str)
def test_an_impossible_option_is_refused_by_name(planted: Planted, option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        top(planted(FALLING), **option)


@pytest.mark.parametrize("z", [torch.full((1, 50), torch.nan), torch.full((1, 50), torch.inf)])
def test_a_point_that_is_not_finite_is_refused(z: Tensor) -> None:
    with pytest.raises(HspaceError, match="z contains NaN or infinity"):
        topk_jacobian_svd(lambda z: z, z, 2)


def test_a_map_that_returns_nan_is_refused() -> None:
    with pytest.raises(HspaceError, match=r"f\(z\) contains NaN"):
        topk_jacobian_svd(lambda z: z / 0 * 0, torch.ones(1, 50), 2)


def test_a_derivative_that_is_nan_is_refused() -> None:
    with pytest.raises(HspaceError, match="a product J v contains NaN"):
        topk_jacobian_svd(lambda z: z.sqrt(), torch.zeros(1, 50), 2)


def test_half_precision_is_refused() -> None:
    with pytest.raises(UsageError, match=r"z is torch\.bfloat16"):
        topk_jacobian_svd(lambda z: z, torch.zeros(1, 50, dtype=torch.bfloat16), 2)


@pytest.mark.parametrize("shape", [(), (2, 50)])
def test_more_than_one_point_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="z must be one point"):
        topk_jacobian_svd(lambda z: z, torch.zeros(shape), 2)


def test_a_map_that_loses_the_batch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"f must map \(B, \.\.\.\) to \(B, \.\.\.\)"):
        topk_jacobian_svd(lambda z: z.sum(), torch.zeros(1, 50), 2)


def test_a_map_without_gradient_is_refused() -> None:
    with pytest.raises(UsageError, match="carries no gradient"):
        topk_jacobian_svd(torch.no_grad()(lambda z: 2 * z), torch.ones(1, 50), 2)


def test_a_map_that_mixes_its_rows_is_refused(planted: Planted) -> None:
    known = planted(FALLING)
    with pytest.raises(HspaceError, match="mixes the rows of its batch"):
        topk_jacobian_svd(lambda z: known.f(z) - 0.5 * known.f(z).mean(dim=0), known.z, 2)


def test_a_random_map_is_refused(planted: Planted) -> None:
    known = planted(FALLING)
    with pytest.raises(HspaceError, match="or is random"):
        topk_jacobian_svd(lambda z: torch.nn.functional.dropout(known.f(z), 0.3), known.z, 2)
