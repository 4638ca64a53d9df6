"""Every way to carry tangents and cotangents, through networks of every kind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.errors import HspaceError, UsageError
from hspace_jacobian import topk_jacobian_svd
from hspace_jacobian.choice import choose
from hspace_jacobian.engines import REVERSE, Replay, Reverse
from hspace_jacobian.products import MapProducts

Kind = Callable[[str, torch.dtype], tuple[Callable[[Tensor], Tensor], Tensor]]
UNETS = ["unet", "adm", "classic attention"]
OTHERS = ["cross attention, convolutional", "cross attention, linear", "text", "dit"]
ROUNDED = {"classic attention": 1e-7}  # its softmax is in float32, whatever the network is in


def rows(count: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, *like.shape, generator=generator, dtype=torch.float64).to(like)


def distance(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).norm() / other.double().norm())


@pytest.mark.parametrize("name", [*UNETS, *OTHERS])
def test_all_engines_agree(of_kind: Kind, name: str) -> None:
    f, z = of_kind(name, torch.float64)
    chosen = choose(f, z, "auto")
    assert (chosen.engine.name, chosen.note) == ("replay", "")
    V, U = rows(3, z), rows(3, chosen.h)
    for engine in (made(f, z) for made in REVERSE.values()):
        assert distance(chosen.engine.push(V), engine.push(V)) < ROUNDED.get(name, 1e-10)
        assert distance(chosen.engine.pull(U), engine.pull(U)) < ROUNDED.get(name, 1e-10)


@pytest.mark.parametrize("engine", ["replay", "jvp", "double_vjp"])
@pytest.mark.parametrize("name", ["encoder", "decoder", "pmp"])
def test_products_are_those_of_the_full_jacobian(maps: dict[str, Any], name: str, engine: Any) -> None:
    known = maps[name]
    products = MapProducts(known.f, known.z, engine=engine)
    assert products.engine == engine
    m, n = products.shape
    V, U = rows(7, torch.zeros(n)).double(), rows(7, torch.zeros(m)).double()
    torch.testing.assert_close(products.jvp(V), V @ known.J.mT, rtol=0, atol=1e-10)
    torch.testing.assert_close(products.vjp(U), U @ known.J, rtol=0, atol=1e-10)
    torch.testing.assert_close(products.jvp(V) @ U.mT, V @ products.vjp(U).mT, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [*UNETS, *OTHERS])
def test_replay_has_the_accuracy_of_float32(of_kind: Kind, name: str) -> None:
    (f, z), (exact, exact_z) = of_kind(name, torch.float32), of_kind(name, torch.float64)
    one, other = Replay(f, z), Replay(exact, z.double())
    assert distance(one.push(rows(3, z)), other.push(rows(3, exact_z))) < 2e-5
    assert distance(one.pull(rows(3, one.h)), other.pull(rows(3, other.h))) < 2e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["unet", "cross attention, linear", "dit"])
def test_half_precision_is_recorded_in_float32(of_kind: Kind, name: str, dtype: torch.dtype) -> None:
    f, z = of_kind(name, dtype)
    chosen = choose(f, z, "auto")
    assert (chosen.engine.name, chosen.engine.precision) == ("replay", torch.float32)
    U = rows(2, chosen.h).to(dtype)
    rough = 5e-2 if dtype == torch.bfloat16 else 1e-2
    assert distance(chosen.engine.pull(U.float()), Reverse(f, z).pull(U)) < rough


@pytest.mark.parametrize("chunk", [1, 2, 7, 30])
@pytest.mark.parametrize("engine", ["replay", "jvp"])
def test_the_chunk_size_does_not_change_the_products(maps: dict[str, Any], chunk: int, engine: Any) -> None:
    known = maps["encoder"]
    products = MapProducts(known.f, known.z, chunk, engine)
    m, n = products.shape
    V, U = rows(7, torch.zeros(n)).double(), rows(7, torch.zeros(m)).double()
    torch.testing.assert_close(products.jvp(V), V @ known.J.mT, rtol=0, atol=1e-12)
    torch.testing.assert_close(products.vjp(U), U @ known.J, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["replay", "jvp", "double_vjp"])
def test_stride_0_rows_are_accepted(maps: dict[str, Any], engine: Any) -> None:
    known = maps["encoder"]
    products = MapProducts(known.f, known.z, engine=engine)
    row = rows(1, known.z).flatten(1)
    torch.testing.assert_close(products.jvp(row.expand(3, -1)), row.expand(3, -1) @ known.J.mT)


def test_every_product_is_counted(maps: dict[str, Any]) -> None:
    products = MapProducts(maps["encoder"].f, maps["encoder"].z, chunk=3)
    m, n = products.shape
    products.jvp(torch.ones(7, n).double())
    products.vjp(torch.ones(8, m).double())
    counts = products.counts
    assert (counts.primal, counts.jvp, counts.vjp, counts.low_jvp) == (2, 7, 8, 0)  # recorded once, proved once


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
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


@pytest.mark.parametrize("engine", ["replay", "jvp", "double_vjp"])
def test_the_module_is_left_as_it_was(maps: dict[str, Any], unet: torch.nn.Module, engine: Any) -> None:
    before = observable(unet)
    topk_jacobian_svd(maps["encoder"].f, maps["encoder"].z, 1, block=2, engine=engine)
    assert_same(before, observable(unet))


@pytest.mark.parametrize(("engine", "calls"), [("replay", 1), ("replay", 2), ("jvp", 1), ("jvp", 3), ("double_vjp", 2)])
def test_the_module_is_left_as_it_was_after_an_error(
    maps: dict[str, Any], unet: torch.nn.Module, engine: Any, calls: int
) -> None:
    before, known, count = observable(unet), maps["encoder"], 0

    def breaks(x_t: Tensor) -> Tensor:
        nonlocal count
        count += 1
        h: Tensor = known.f(x_t)
        return h * (torch.nan if count >= calls else 1.0)

    with pytest.raises(HspaceError, match="NaN"):
        topk_jacobian_svd(breaks, known.z, 1, engine=engine)
    assert_same(before, observable(unet))


def test_an_error_of_the_map_itself_comes_through(maps: dict[str, Any]) -> None:
    def breaks(x_t: Tensor) -> Tensor:
        raise ValueError("no such timestep")

    with pytest.raises(ValueError, match="no such timestep"):
        topk_jacobian_svd(breaks, maps["encoder"].z, 1)


def test_an_engine_that_cannot_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"engine 'replay' does not work on this network .*cumprod.*engine='auto'"):
        topk_jacobian_svd(lambda z: z.cumprod(1), torch.ones(1, 50), 2, engine="replay")


class Opaque(torch.autograd.Function):
    """A function that can be differentiated once, by a derivative of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, c: Tensor) -> Tensor:
        return 2 * c


def test_where_no_engine_works_the_reasons_are_told() -> None:
    with pytest.raises(HspaceError, match=r"no engine can differentiate this network\. replay: .*jvp: .*double_vjp: "):
        topk_jacobian_svd(Opaque.apply, torch.randn(1, 50), 2)
