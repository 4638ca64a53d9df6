"""Searches that are stopped, resumed, extended and held to a budget."""

import json
from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from hspace.errors import RefusedError, UsageError
from hspace_jacobian import JacobianSVD, topk_jacobian_svd
from hspace_jacobian.lanczos import Ritz

Planted = Callable[..., Any]
FALLING = [5 * exp(-4 * i / 119) for i in range(120)]
K = 8
RESULTS = ("U", "S", "V", "residual", "tail", "cluster", "angle_bound")


class Stopped(Exception):
    """A power cut."""


def top(known: Any, k: int = K, **options: Any) -> JacobianSVD:
    return topk_jacobian_svd(known.f, known.z, k, **{"tol": 1e-7, "block": 2, **options})


def stop_after(tests: int) -> Callable[[Ritz], None]:
    left = tests

    def callback(ritz: Ritz) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped

    return callback


def small_matrix(path: Path) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("M")


@pytest.mark.parametrize("tests", [0, 1, 4])
@pytest.mark.parametrize("block", [1, 3])
def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(
    planted: Planted, tmp_path: Path, tests: int, block: int
) -> None:
    known = planted(FALLING)
    whole = top(known, block=block, state=tmp_path / "whole")
    with pytest.raises(Stopped):
        top(known, block=block, state=tmp_path / "cut", callback=stop_after(tests))
    resumed = top(known, block=block, state=tmp_path / "cut")
    assert torch.equal(small_matrix(tmp_path / "whole"), small_matrix(tmp_path / "cut"))
    for name in RESULTS:
        assert torch.equal(getattr(whole, name), getattr(resumed, name))
    assert (whole.energy_fraction, whole.sigma_next) == (resumed.energy_fraction, resumed.sigma_next)


def test_a_network_resumes_bit_for_bit(maps: dict[str, Any], tmp_path: Path) -> None:
    known = maps["encoder"]
    whole = top(known, tol=1e-4, state=tmp_path / "whole")
    with pytest.raises(Stopped):
        top(known, tol=1e-4, state=tmp_path / "cut", callback=stop_after(2))
    assert torch.equal(whole.U, top(known, tol=1e-4, state=tmp_path / "cut").U)


def test_a_finished_search_goes_on_to_a_larger_k(planted: Planted, tmp_path: Path) -> None:
    known = planted(FALLING)
    first = top(known, 5, state=tmp_path / "s")
    more = top(known, 15, state=tmp_path / "s")
    direct = top(known, 15)
    torch.testing.assert_close(more.S, direct.S, rtol=1e-10, atol=0)
    torch.testing.assert_close(more.U, direct.U, rtol=0, atol=1e-6)
    fresh = more.products - first.products
    assert fresh < direct.products - 20  # it did not begin again


def test_a_finished_search_goes_on_to_a_smaller_tolerance(planted: Planted, tmp_path: Path) -> None:
    known = planted(FALLING)
    rough = top(known, tol=1e-2, state=tmp_path / "s")
    fine = top(known, tol=1e-7, state=tmp_path / "s")
    assert (fine.rel_residual <= 1e-7).all()
    assert (rough.rel_residual > 1e-7).any()
    torch.testing.assert_close(fine.S, known.S[:K], rtol=1e-10, atol=0)


def test_a_finished_search_costs_no_product_again(planted: Planted, tmp_path: Path) -> None:
    known = planted(FALLING)
    first = top(known, state=tmp_path / "s", verify="off")
    again = top(known, state=tmp_path / "s", verify="off")
    assert again.products == first.products
    assert torch.equal(again.U, first.U)


def test_the_state_is_one_safetensors_file_with_json_in_it(planted: Planted, tmp_path: Path) -> None:
    top(planted(FALLING), state=tmp_path / "s", label="ddpm at 600")
    with safe_open(tmp_path / "s", framework="pt") as file:
        facts = json.loads(file.metadata()["krylov"])
    assert (facts["label"], facts["format"], facts["block"]) == ("ddpm at 600", 1, 2)
    assert list(tmp_path.iterdir()) == [tmp_path / "s"]


@pytest.mark.parametrize("what", ["point", "map", "label", "precision"])
def test_the_state_of_another_search_is_refused(planted: Planted, tmp_path: Path, what: str) -> None:
    known = planted(FALLING)
    top(known, state=tmp_path / "s")
    before = (tmp_path / "s").read_bytes()
    f, z, label = known.f, known.z, ""
    if what == "point":
        z = z + 1
    elif what == "map":
        f = lambda z: known.f(z) + 1  # noqa: E731
    elif what == "label":
        label = "another"
    else:
        z = z.float()
    named = "map: '', not 'another'" if what == "label" else what
    with pytest.raises(RefusedError, match=f"holds the search of another {named}.*Name another file, or delete it"):
        topk_jacobian_svd(f, z, K, tol=1e-5, state=tmp_path / "s", label=label)
    assert (tmp_path / "s").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_state_is_refused(planted: Planted, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(RefusedError, match="is not the state of a search"):
        top(planted(FALLING), state=tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == content


@pytest.mark.parametrize("block", [1, 2, 4])
def test_a_search_within_a_budget_restarts_and_finds_the_same(planted: Planted, block: int) -> None:
    known = planted(FALLING)
    rows = K + 7 * block
    row = (120 + 160) * 8
    small = top(known, block=block, memory=network_bytes(known) + rows * row)
    large = top(known, block=block)
    assert (small.converged, small.verified) == (True, True)
    assert len(small.tail) + K <= rows < len(large.tail) + K
    assert small.products > large.products
    torch.testing.assert_close(small.S, known.S[:K], rtol=1e-9, atol=0)
    torch.testing.assert_close(small.U, large.U, rtol=0, atol=1e-5)
    for rows_ in (small.U, small.V):
        torch.testing.assert_close(rows_ @ rows_.mT, torch.eye(K, dtype=torch.float64), rtol=0, atol=1e-12)
    assert small.energy_fraction == pytest.approx(large.energy_fraction, rel=0.3)


def network_bytes(known: Any) -> int:
    from hspace_jacobian.products import MapProducts

    return MapProducts(known.f, known.z).bytes


def test_the_residual_is_true_after_a_restart(planted: Planted) -> None:
    known = planted(FALLING)
    svd = top(known, memory=network_bytes(known) + (K + 14) * 280 * 8, tol=1e-3)
    residual = (svd.U @ known.J - svd.S[:, None] * svd.V).norm(dim=1)
    torch.testing.assert_close(svd.residual, residual, rtol=0, atol=1e-9)


def test_too_little_memory_is_refused_with_what_it_takes(planted: Planted) -> None:
    known = planted(FALLING)
    with pytest.raises(UsageError, match=r"memory=1000 bytes is too little: .* Give at least \d+"):
        top(known, memory=1000)
