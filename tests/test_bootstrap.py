"""Intervals and what is said of numbers per picture."""

import pytest
import torch
from torch import Tensor

from hspace.bootstrap import interval, summarise


def numbers(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    rows = numbers(400)
    ends = interval(rows)
    assert ends is not None
    half = 1.96 * float(rows.std()) / 20
    assert ends == pytest.approx((float(rows.mean()) - half, float(rows.mean()) + half), abs=0.015)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    held = [low <= 0 <= high for seed in range(100) for low, high in [interval(numbers(40, seed)) or (9, 9)]]
    assert 88 <= sum(held) <= 99


def test_the_seed_decides_the_interval() -> None:
    rows = numbers(20)
    assert interval(rows, seed=3) == interval(rows, seed=3)
    assert interval(rows, seed=3) != interval(rows, seed=4)


def test_one_picture_has_a_value_and_no_interval() -> None:
    one = summarise("m", torch.tensor([2.0]), torch.tensor([5]), "p")
    assert (one.value, one.n, one.low, one.high, one.spread, one.values) == (2.0, 1, None, None, None, {5: 2.0})


def test_a_picture_that_could_not_be_measured_is_left_out_and_not_counted() -> None:
    one = summarise("m", torch.tensor([1.0, torch.nan, 3.0]), torch.tensor([4, 5, 6]), "p")
    assert (one.value, one.n, one.values) == (2.0, 2, {4: 1.0, 6: 3.0})


def test_where_no_picture_could_be_measured_there_is_a_reason_and_no_number() -> None:
    one = summarise("m", torch.tensor([torch.nan]), torch.tensor([0]), "p", missing="It is too dark.")
    assert (one.value, one.n, one.reason) == (None, 0, "no picture could be measured. It is too dark")


def test_a_mean_that_is_infinite_is_no_number() -> None:
    one = summarise("m", torch.tensor([1.0, torch.inf]), torch.tensor([0, 1]), "p", missing="Equal")
    assert (one.value, one.low, one.spread) == (None, None, None)
    assert one.reason == "of 2 pictures it is inf. Equal"
    assert one.values == {0: 1.0}


def test_a_statistic_of_rows_has_an_interval_and_no_number_per_picture() -> None:
    rows = torch.stack([numbers(50) + 4, numbers(50, 1) + 2], dim=1)
    one = summarise("m", rows, torch.arange(50), "p", statistic=lambda some: some[:, 0].mean() / some[:, 1].mean())
    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.value < one.high
    assert (one.values, one.spread) == ({}, None)
