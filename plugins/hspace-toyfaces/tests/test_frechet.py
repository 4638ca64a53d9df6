"""The Frechet distance of Gaussians is known in closed form."""

import pytest
import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace_toyfaces.frechet import frechet_distance, matrix_root


def with_moments(mean: Tensor, covariance: Tensor, seed: int, n: int = 400) -> Tensor:
    """n rows whose sample mean and covariance are exactly those given."""
    rows = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = rows - rows.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(rows.T.cov().reshape_as(covariance)))
    result: Tensor = rows @ whiten.T @ torch.linalg.cholesky(covariance).T + mean
    return result


def test_two_gaussians_with_diagonal_covariances() -> None:
    mean, others_mean = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 0.0, 0.0]).double()
    variances, others = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    known = 4 + 9 + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 1) ** 2
    found = frechet_distance(
        with_moments(mean, variances.diag(), 1), with_moments(others_mean, others.diag(), 2)
    )  # fmt: skip
    assert found == pytest.approx(known, abs=1e-9)


def test_covariances_that_do_not_commute() -> None:
    covariance = torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()
    others = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
    # in two dimensions tr (M^1/2) = sqrt(tr M + 2 sqrt(det M)), here with M = C_1 C_2: tr 20, det 27
    known = 4 + 10 - 2 * (20 + 2 * 27**0.5) ** 0.5
    zero = torch.zeros(2).double()
    found = frechet_distance(with_moments(zero, covariance, 1), with_moments(zero, others, 2))
    assert found == pytest.approx(known, abs=1e-9)


def test_a_set_is_at_distance_0_from_itself() -> None:
    features = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_one_column_is_enough() -> None:
    one = torch.ones(1).double()
    found = frechet_distance(with_moments(one, one.diag(), 1), with_moments(-one, 4 * one.diag(), 2))
    assert found == pytest.approx(2**2 + (1 - 2) ** 2)


def test_fewer_rows_than_columns_stay_finite_and_positive() -> None:
    features = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    assert 0 < frechet_distance(features[0], features[1]) < 100


def test_the_root_squared_is_the_matrix() -> None:
    covariance = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double().T.cov()
    torch.testing.assert_close(matrix_root(covariance) @ matrix_root(covariance), covariance)


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (9, 4)])
def test_sets_that_cannot_be_compared_are_refused(rows: int, columns: int) -> None:
    with pytest.raises(UsageError, match=rf"\({rows}, {columns}\) were given"):
        frechet_distance(torch.zeros(9, 3), torch.zeros(rows, columns))
