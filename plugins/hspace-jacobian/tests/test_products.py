"""Products with a U-Net's Jacobian, and what they leave behind."""

from typing import Any

import pytest
import torch

from hspace.errors import HspaceError
from hspace_jacobian import topk_jacobian_svd
from hspace_jacobian.products import MapProducts

MAPS = ["encoder", "decoder", "x_t -> P_t"]


def block(rows: int, size: int) -> torch.Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("name", MAPS)
def test_products_are_those_of_the_full_jacobian(maps: dict[str, Any], name: str) -> None:
    known = maps[name]
    products = MapProducts(known.f, known.z)
    m, n = products.shape
    torch.testing.assert_close(products.jvp(block(7, n)), block(7, n) @ known.J.mT, rtol=0, atol=1e-10)
    torch.testing.assert_close(products.vjp(block(7, m)), block(7, m) @ known.J, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MAPS)
def test_jvp_and_vjp_are_adjoint(maps: dict[str, Any], name: str) -> None:
    products = MapProducts(maps[name].f, maps[name].z)
    m, n = products.shape
    U, V = block(3, m), block(3, n)
    torch.testing.assert_close(products.jvp(V) @ U.mT, V @ products.vjp(U).mT, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 2, 7, 30])
def test_the_chunk_size_does_not_change_the_products(maps: dict[str, Any], chunk: int) -> None:
    known = maps["encoder"]
    products = MapProducts(known.f, known.z, chunk)
    m, n = products.shape
    torch.testing.assert_close(products.jvp(block(7, n)), block(7, n) @ known.J.mT, rtol=0, atol=1e-12)
    torch.testing.assert_close(products.vjp(block(7, m)), block(7, m) @ known.J, rtol=0, atol=1e-12)


def test_stride_0_rows_are_accepted(maps: dict[str, Any]) -> None:
    known = maps["encoder"]
    products = MapProducts(known.f, known.z)
    row = block(1, products.shape[1])
    torch.testing.assert_close(products.jvp(row.expand(3, -1)), row.expand(3, -1) @ known.J.mT)


def test_every_product_is_counted(maps: dict[str, Any]) -> None:
    products = MapProducts(maps["encoder"].f, maps["encoder"].z, chunk=3)
    m, n = products.shape
    products.jvp(block(7, n))
    products.vjp(block(7, m))
    assert (products.counts.jvp, products.counts.vjp) == (7, 7)
    assert products.counts.primal == 1 + 3 + (3 + 1)  # the shape of h; a primal per jvp chunk; graphs of 3 and 1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_does_not_matter(maps: dict[str, Any], mode: Any) -> None:
    known = maps["encoder"]
    with mode():
        svd = topk_jacobian_svd(known.f, known.z.clone(), 1, block=2)
    torch.testing.assert_close(svd.S, known.S[:1])
    assert not svd.U.requires_grad


def observable(unet: torch.nn.Module) -> dict[str, Any]:
    """All that a decomposition might change about a module or about torch."""
    modules = dict(unet.named_modules())
    return {
        "weights": {name: tensor.clone() for name, tensor in unet.state_dict().items()},
        "requires_grad": [p.requires_grad for p in unet.parameters()],
        "grad": [p.grad for p in unet.parameters()],
        "training": [module.training for module in modules.values()],
        "processors": {name: id(module.processor) for name, module in modules.items() if hasattr(module, "processor")},
        "hooks": [len(module._forward_hooks) for module in modules.values()],
        "kernels": [torch._C._get_flash_sdp_enabled(), torch._C._get_mem_efficient_sdp_enabled()],
        "grad mode": torch.is_grad_enabled(),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    torch.testing.assert_close(before.pop("weights"), after.pop("weights"), rtol=0, atol=0)
    assert before == after


def test_the_module_is_left_as_it_was(maps: dict[str, Any], unet: torch.nn.Module) -> None:
    before = observable(unet)
    topk_jacobian_svd(maps["encoder"].f, maps["encoder"].z, 1, block=2)
    assert_same(before, observable(unet))


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_the_module_is_left_as_it_was_after_an_error(maps: dict[str, Any], unet: torch.nn.Module, calls: int) -> None:
    before, known, count = observable(unet), maps["encoder"], 0

    def breaks(x_t: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        h: torch.Tensor = known.f(x_t)
        return h * (torch.nan if count >= calls else 1.0)

    with pytest.raises(HspaceError, match="NaN"):
        topk_jacobian_svd(breaks, known.z, 1)
    assert_same(before, observable(unet))
