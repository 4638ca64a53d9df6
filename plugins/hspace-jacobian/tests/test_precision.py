"""Searches with products in half precision."""

from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch

from hspace.errors import UsageError
from hspace_jacobian import topk_jacobian_svd

FALLING = [5 * exp(-4 * i / 119) for i in range(120)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_draft_is_within_2_percent_and_a_finish_within_1e_4(rounded: Any, dtype: torch.dtype) -> None:
    f, z, S = rounded(dtype)
    draft = topk_jacobian_svd(f, z, 8, precision="draft")
    assert draft.precision == ("float16" if dtype == torch.float16 else "bfloat16")
    assert (draft.S.double() / S[:8] - 1).abs().max() < 2e-2
    assert not draft.verified
    mixed = topk_jacobian_svd(f, z, 8, precision="mixed")
    assert (mixed.S.double() / S[:8] - 1).abs().max() < 1e-4
    assert mixed.U.dtype == torch.float32
    assert (mixed.converged, mixed.verified) == (True, True)
    counts = mixed.counts
    assert 0 < counts["low_jvp"] < counts["jvp"]


def test_a_finish_takes_few_exact_products(rounded: Any) -> None:
    f, z, _ = rounded(torch.float32)
    plain = topk_jacobian_svd(f, z, 20, verify="off").counts
    mixed = topk_jacobian_svd(f, z, 20, verify="off", precision="mixed").counts
    assert mixed["jvp"] - mixed["low_jvp"] + mixed["vjp"] - mixed["low_vjp"] < plain["jvp"] + plain["vjp"]


def test_the_residual_of_a_finish_is_true(planted: Callable[..., Any]) -> None:
    known = planted(FALLING)
    svd = topk_jacobian_svd(known.f, known.z, 8, precision="mixed")
    one, other = svd.U @ known.J - svd.S[:, None] * svd.V, svd.V @ known.J.mT - svd.S[:, None] * svd.U
    residual = (one.square().sum(dim=1) + other.square().sum(dim=1)).sqrt()
    torch.testing.assert_close(svd.residual, residual, rtol=0, atol=1e-9)
    assert (svd.rel_residual <= 1e-2).all()


@pytest.mark.parametrize("precision", ["draft", "mixed"])
def test_engines_other_than_replay_lower_their_precision_too(planted: Callable[..., Any], precision: Any) -> None:
    known = planted(FALLING)
    weight = known.J.float()
    svd = topk_jacobian_svd(
        lambda z: torch.nn.functional.linear(z, weight), known.z.float(), 8, precision=precision, engine="jvp"
    )
    assert svd.counts["low_jvp"] > 0
    torch.testing.assert_close(svd.S.double(), known.S[:8], rtol=2e-2 if precision == "draft" else 1e-4, atol=0)


@pytest.mark.parametrize("precision", ["draft", "mixed"])
def test_a_search_in_two_precisions_resumes(planted: Callable[..., Any], tmp_path: Path, precision: Any) -> None:
    known = planted(FALLING)
    first = topk_jacobian_svd(known.f, known.z, 8, precision=precision, state=tmp_path / "s")
    again = topk_jacobian_svd(known.f, known.z, 8, precision=precision, state=tmp_path / "s", verify="off")
    assert torch.equal(first.U, again.U)


def test_a_point_in_half_precision_needs_a_plan() -> None:
    with pytest.raises(UsageError, match=r"z is torch\.bfloat16; .*precision='mixed'"):
        topk_jacobian_svd(lambda z: z, torch.zeros(1, 50, dtype=torch.bfloat16), 2)
