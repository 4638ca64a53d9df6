"""FID and KID: known answers, and a second implementation on the same features."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kernel_poly, mmd2
from torchmetrics.image.kid import poly_mmd

from hspace.errors import HspaceWarning, UsageError
from hspace.metric import Batch, Result
from hspace_metrics.features import Features
from hspace_metrics.frechet import Frechet
from hspace_metrics.kernel import Kernel, differences, discrepancy

D = 6


class Rows(Features):
    """Features that are the pictures themselves, (B, D) at the corner of pictures."""

    name = "rows"

    def __call__(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :D]


def draw(n: int, seed: int, shift: float = 0.0) -> Tensor:
    """Correlated rows (n, D)."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(D, D, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return torch.randn(n, D, generator=generator, dtype=torch.float64) @ mix + shift


def pictures(rows: Tensor) -> Tensor:
    return rows[:, None, None, :].expand(len(rows), 3, 1, D)


def batch(*sets: Tensor) -> Batch:
    return Batch(torch.arange(len(sets[0])), *(pictures(rows) for rows in sets))


def measured(metric: Frechet | Kernel, *sets: Tensor) -> dict[str, Result]:
    """The results by pair, of rows given in two batches."""
    whole = batch(*sets)
    half = len(sets[0]) // 3
    for rows in (slice(0, half), slice(half, None)):
        metric.update(Batch(whole.index[rows], *(pictures(one[rows]) for one in sets)))
    return {one.pair: one for one in metric.compute()}


def reference_fid(one: Tensor, other: Tensor) -> float:
    stats = [fid_features_to_statistics(rows) for rows in (one, other)]
    return float(fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"])


def reference_kid(one: Tensor, other: Tensor) -> float:
    settings = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    x, y = one.numpy(), other.numpy()
    kernels = (kernel_poly(*pair, **settings) for pair in ((x, x), (x, y), (y, y)))
    return float(mmd2(*kernels, mmd_est="u-statistic"))


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_fid_is_that_of_torch_fidelity_on_the_same_features(shift: float) -> None:
    one, recon, other = draw(60, 0), draw(60, 1), draw(60, 2, shift)
    found = measured(Frechet(Rows()), one, recon, other)
    known = {"orig-edit": (one, other), "recon-edit": (recon, other), "orig-recon": (one, recon)}
    for pair, sets in known.items():
        assert found[pair].value == pytest.approx(reference_fid(*sets), rel=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_kid_is_that_of_torch_fidelity_on_the_same_features(shift: float) -> None:
    one, other = draw(60, 0), draw(60, 2, shift)
    found = measured(Kernel(Rows()), one, draw(60, 1), other)
    assert found["orig-edit"].value == pytest.approx(reference_kid(one, other), rel=1e-3)


def test_kid_of_independent_sets_is_near_torchmetrics_own() -> None:
    one, other = draw(600, 0), draw(600, 2, 0.7)
    assert discrepancy(differences(one, other)) == pytest.approx(float(poly_mmd(one, other)), rel=0.02)


def test_identical_sets_have_fid_0_and_kid_within_its_interval_of_0() -> None:
    rows = draw(40, 0)
    fid, kid = (measured(metric, rows, rows, rows)["orig-edit"] for metric in (Frechet(Rows()), Kernel(Rows())))
    assert fid.value == pytest.approx(0, abs=1e-6)
    assert kid.low is not None
    assert kid.high is not None
    assert kid.low <= 0 <= kid.high
    assert kid.value == pytest.approx(0, abs=1e-9)


def test_the_usual_formula_would_be_below_0_for_identical_sets() -> None:
    rows = draw(40, 0)
    assert float(poly_mmd(rows, rows)) < -0.01


def test_kids_interval_holds_0_for_sets_of_one_law_and_not_for_others() -> None:
    held = []
    for seed in range(20):
        same = measured(Kernel(Rows()), draw(64, seed), draw(64, 100 + seed), draw(64, 200 + seed))["orig-edit"]
        held.append(same.low is not None and same.high is not None and same.low <= 0 <= same.high)
    assert sum(held) >= 17
    other = measured(Kernel(Rows()), draw(64, 0), draw(64, 1), draw(64, 2, 2.0))["orig-edit"]
    assert other.low is not None
    assert other.low > 0


def test_the_floor_compares_two_halves_of_the_originals() -> None:
    one, other = draw(60, 0), draw(60, 2)
    fid = measured(Frechet(Rows()), one, one, other)["recon-edit"]
    kid = measured(Kernel(Rows()), one, one, other)["recon-edit"]
    assert fid.floor == pytest.approx(reference_fid(one[::2], one[1::2]), rel=1e-3)
    assert kid.floor == pytest.approx(float(poly_mmd(one[::2], one[1::2])), rel=1e-6)


def test_without_originals_there_is_no_floor() -> None:
    metric = Frechet(Rows())
    metric.update(Batch(torch.arange(20), recon=pictures(draw(20, 0)), edit=pictures(draw(20, 1))))
    (only,) = metric.compute()
    assert (only.pair, only.floor) == ("recon-edit", None)


def test_too_few_pictures_are_told_as_a_warning_and_in_the_protocol() -> None:
    for metric in (Frechet(Rows()), Kernel(Rows())):
        with pytest.warns(HspaceWarning, match=f"{D} pictures are too few for {D} features: compare it with its floor"):
            found = measured(metric, *(draw(D, seed) for seed in range(3)))
        assert "too few" in found["orig-edit"].protocol
        assert found["orig-edit"].floor is not None


@pytest.mark.filterwarnings("error")
def test_enough_pictures_are_not_told() -> None:
    measured(Frechet(Rows()), *(draw(D + 1, seed) for seed in range(3)))


@pytest.mark.filterwarnings("ignore::hspace.errors.HspaceWarning")
def test_one_picture_has_neither() -> None:
    for metric in (Frechet(Rows()), Kernel(Rows())):
        metric.update(batch(draw(1, 0), draw(1, 1), draw(1, 2)))
        for one in metric.compute():
            assert one.value is None
            assert "at least 2" in one.reason


def test_kid_keeps_at_most_so_many_pictures_and_the_same_ones_in_any_order() -> None:
    one, other = draw(50, 0), draw(50, 1)
    forward, backward = (Kernel(Rows(), seed=4, most=20) for _ in range(2))
    for order, metric in ((torch.arange(50), forward), (torch.arange(49, -1, -1), backward)):
        for rows in order.split(7):
            metric.update(Batch(rows, pictures(one[rows]), pictures(other[rows])))
    (first,), (second,) = forward.compute(), backward.compute()
    assert len(forward.kept["index"]) == 20
    assert first.n == 20
    assert "20 of 50 pictures" in first.protocol
    assert first.value == pytest.approx(second.value, rel=1e-9)


def test_fids_state_does_not_grow() -> None:
    metric = Frechet(Rows())
    sizes = []
    for start in range(0, 60, 20):
        metric.update(Batch(torch.arange(start, start + 20), *(pictures(draw(20, seed)) for seed in range(3))))
        sizes.append(sum(tensor.nbytes for tensor in metric.state().values()))
    assert len(set(sizes)) == 1


def test_features_of_no_known_form_are_refused() -> None:
    from hspace_metrics.features import features_of

    with pytest.raises(UsageError, match="features are named as MODULE:ATTRIBUTE, timm/MODEL"):
        features_of("resnet", None, True, "cpu")
    with pytest.raises(UsageError, match="name an --encoder"):
        features_of("", None, True, "cpu")
    with pytest.raises(UsageError, match="there is no features 'metric_models:none'"):
        features_of("metric_models:none", None, True, "cpu")


Draw = Callable[[int], Tensor]


def test_numpy_agrees_that_covariances_are_unbiased() -> None:
    metric = Frechet(Rows())
    rows = draw(30, 0)
    metric.update(batch(rows, rows, rows))
    moments = metric.moments["edit"]
    mean = moments["sum"] / 30
    covariance = (moments["cov_sum"] - 30 * torch.outer(mean, mean)) / 29
    assert covariance.numpy() == pytest.approx(np.cov(rows.numpy(), rowvar=False))
