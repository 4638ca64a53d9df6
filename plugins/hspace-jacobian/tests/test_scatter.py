"""Principal components of rows seen in batches, against the whole matrix at once."""

import pytest
import torch
from torch import Tensor

from hspace_jacobian.scatter import Scatter


def rows_of(n: int, m: int, spread: float = 0.9) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(n, m, dtype=torch.float64, generator=generator)
    return 5 + rows * spread ** torch.arange(m, dtype=torch.float64)


def seen(rows: Tensor, batches: list[int], keep: int = 256) -> Scatter:
    scatter = Scatter(keep)
    for some in torch.split(rows, batches):
        scatter.add(some)
    return scatter


@pytest.mark.parametrize("batches", [[60], [1] * 60, [7, 20, 33]])
def test_components_are_the_right_singular_vectors_of_the_centred_rows(batches: list[int]) -> None:
    rows = rows_of(60, 80)
    _, S, Vh = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
    vectors, sigma = seen(rows, batches).components(10)
    torch.testing.assert_close(sigma, S[:10] / 59**0.5, rtol=1e-12, atol=0)
    torch.testing.assert_close((vectors * Vh[:10]).sum(dim=1).abs(), torch.ones(10, dtype=torch.float64))


def test_the_variance_is_that_of_all_coordinates() -> None:
    rows = rows_of(50, 30)
    assert seen(rows, [20, 30]).variance == pytest.approx(float(rows.var(dim=0).sum()), rel=1e-12)


def test_past_its_memory_the_leading_components_stay_and_the_loss_is_told() -> None:
    rows = rows_of(400, 60, spread=0.7)
    scatter = seen(rows, [10] * 40, keep=20)
    _, S, Vh = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
    vectors, sigma = scatter.components(5)
    torch.testing.assert_close(sigma, S[:5] / 399**0.5, rtol=1e-6, atol=0)
    assert float((1 - (vectors * Vh[:5]).sum(dim=1).abs()).max()) < 1e-9
    assert 0 < scatter.dropped / scatter.total < 1e-4
    assert scatter.variance == pytest.approx(float(rows.var(dim=0).sum()), rel=1e-9)


def test_it_holds_no_more_rows_than_it_says() -> None:
    scatter = seen(rows_of(300, 60), [10] * 30, keep=20)
    assert len(scatter._factor) <= 40


def test_joined_groups_are_each_about_their_own_mean() -> None:
    one, other = rows_of(30, 20), rows_of(30, 20)[:, torch.arange(19, -1, -1)] - 50
    together = seen(one, [30])
    together.join(seen(other, [30]))
    centred = torch.cat([one - one.mean(dim=0), other - other.mean(dim=0)])
    _, sigma = together.components(20)
    torch.testing.assert_close(sigma, torch.linalg.svdvals(centred) / 58**0.5, rtol=1e-10, atol=0)


def test_rows_that_do_not_vary_have_no_components() -> None:
    vectors, sigma = seen(torch.ones(5, 8), [2, 3]).components(3)
    assert vectors.shape == (0, 8)
    assert sigma.shape == (0,)
