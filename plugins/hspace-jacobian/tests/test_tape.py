"""The rules of the tape, one by one, against autograd; and what it must not believe."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hspace_jacobian import topk_jacobian_svd
from hspace_jacobian.choice import choose
from hspace_jacobian.engines import Reverse

Map = Callable[[Tensor], Tensor]
W = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
KERNEL = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BIAS = torch.ones(6, dtype=torch.float64)
BLOCKED = torch.ones(8, 8, dtype=torch.bool).tril()


def image(*shape: int) -> Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def conv(x: Tensor, **options: int) -> Tensor:
    return F.conv2d(x, KERNEL, **options)


def attend(x: Tensor, **options: object) -> Tensor:
    q, k, v = (x @ W).sin(), x, x.cos()
    return F.scaled_dot_product_attention(q, k, v, **options)  # type: ignore[arg-type]


IMAGES: dict[str, Map] = {
    "conv": lambda x: conv(x, padding=1),
    "strided conv": lambda x: conv(x, stride=2, padding=1),
    "dilated conv": lambda x: conv(x, dilation=2),
    "valid conv": conv,
    "wide padding": lambda x: conv(x, padding=4),
    "grouped conv": lambda x: F.conv2d(x, KERNEL[:, :3], groups=2),
    "transposed conv": lambda x: F.conv_transpose2d(x, KERNEL.mT.transpose(0, 1), stride=2, output_padding=1),
    "group norm": lambda x: F.group_norm(x, 3, BIAS * 2, BIAS),
    "group norm and silu": lambda x: conv(F.silu(F.group_norm(x, 2)), padding=1),
    "batch norm in use": lambda x: F.batch_norm(x, BIAS, 2 * BIAS, 3 * BIAS),
    "nearest": lambda x: F.interpolate(x, scale_factor=2.0),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 2),
    "pad": lambda x: F.pad(x, (0, 1, 2, 0)),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "pixel shuffle": lambda x: F.pixel_unshuffle(x, 2),
    "cat": lambda x: torch.cat([x.sin(), torch.ones_like(x), x], dim=1),
    "chunk": lambda x: x.chunk(2, dim=1)[0] * x.chunk(2, dim=1)[1],
    "split": lambda x: x.split([2, 4], dim=1)[1].exp(),
    "slice": lambda x: x[:, 1:5:2, :, 3] ** 2,
    "flip and roll": lambda x: x.flip(2).roll(1, 3) * x,
    "where": lambda x: torch.where(x > 0, x, 0.1 * x.sin()),
    "masked fill": lambda x: x.sin().masked_fill(x < 0, 2.0),
    "division": lambda x: x / (1 + x.square()).sqrt(),
    "broadcast": lambda x: x * x.mean((2, 3), keepdim=True) - x.sum(1, keepdim=True),
    "rsub": lambda x: 1 - x.sigmoid(),
    "scaled sum": lambda x: torch.add(x, x.cos(), alpha=0.5) - torch.sub(x, x.sin(), alpha=2),
    "in place": lambda x: (2 * x).add_(x.sin()).mul_(3).sigmoid_(),
    "two names": lambda x: x.clone().contiguous().double() * x,
    "constant branch": lambda x: x + torch.arange(8.0, dtype=x.dtype).exp(),
}
TOKENS: dict[str, Map] = {
    "linear": lambda x: F.linear(x, W, BIAS),
    "matmul": lambda x: x @ x.mT,
    "bmm": lambda x: torch.bmm(x.mT, x.sin()),
    "baddbmm": lambda x: torch.baddbmm(x @ x.mT, x, x.mT.sin(), beta=2, alpha=0.5),
    "layer norm": lambda x: F.layer_norm(x, (6,), BIAS * 2, BIAS),
    "rms norm": lambda x: F.rms_norm(x, (6,), BIAS * 2),
    "softmax": lambda x: (x @ x.mT).softmax(-1) @ x,
    "softmax over tokens": lambda x: x.softmax(1),
    "gelu": F.gelu,
    "tanh gelu": lambda x: F.gelu(x, approximate="tanh"),
    "geglu": lambda x: x[..., :3] * F.gelu(x[..., 3:]),
    "pointwise": lambda x: x.tanh() + F.softplus(x) + F.elu(x) + F.mish(x) + F.leaky_relu(x) + x.abs().log1p(),
    "clamp": lambda x: x.clamp(-0.5, 0.5) * x.pow(3),
    "heads": lambda x: x.reshape(len(x), 8, 2, 3).transpose(1, 2).reshape(-1, 8, 3).softmax(-1).reshape(len(x), 16, 3),
    "permute": lambda x: x.reshape(len(x), 2, 4, 6).permute(0, 3, 1, 2).flatten(2) @ torch.ones(8, 2, dtype=x.dtype),
    "attention": attend,
    "causal attention": lambda x: attend(x, is_causal=True),
    "masked attention": lambda x: attend(x, attn_mask=BLOCKED),
    "scaled attention": lambda x: attend(x, scale=0.3),
    "many heads": lambda x: attend(x.unsqueeze(1).repeat(1, 3, 1, 1)).squeeze(1),
    "stack": lambda x: x.unsqueeze(1).expand(-1, 2, -1, -1) * x.unsqueeze(1),
}
CASES = [(name, f, image(6, 8, 8)) for name, f in IMAGES.items()] + [(n, f, image(8, 6)) for n, f in TOKENS.items()]


@pytest.mark.parametrize(("f", "z"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_rule_is_the_derivative(f: Map, z: Tensor) -> None:
    chosen = choose(f, z, "auto")
    assert (chosen.engine.name, chosen.note) == ("replay", "")
    torch.testing.assert_close(chosen.h, f(z))
    generator = torch.Generator().manual_seed(1)
    V, U = (torch.randn(3, *x.shape, generator=generator, dtype=x.dtype) for x in (z, chosen.h))
    exact = Reverse(f, z).pull(U)
    torch.testing.assert_close(chosen.engine.pull(U), exact, rtol=1e-10, atol=1e-10)
    push = chosen.engine.push(V)
    torch.testing.assert_close(push.flatten(1) @ U.flatten(1).mT, V.flatten(1) @ exact.flatten(1).mT)


def writes_into_a_buffer(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[:, :3] = x[:, 3:]
    return out * x


def writes_after_reading(x: Tensor) -> Tensor:
    y = 2 * x
    z = y + x
    y.add_(1)
    return z + y.sin()


def writes_under_a_view(x: Tensor) -> Tensor:
    y = 2 * x
    view = y[:, :3]
    y.mul_(3)
    return view.sin()


DOUBTFUL: dict[str, Map] = {
    "an unknown operation": lambda x: x.cumprod(1),
    "an unknown in-place operation": lambda x: (2 * x).cumprod_(1),
    "an output without a rule": lambda x: x.sort(dim=1).values * x.logsumexp(1, keepdim=True),
    "a buffer that is written into": writes_into_a_buffer,
    "a value that is written over": writes_after_reading,
    "a view that is written under": writes_under_a_view,
}


@pytest.mark.parametrize("f", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_what_is_doubtful_falls_back_and_says_so(f: Map) -> None:
    z = image(6, 5)
    svd = topk_jacobian_svd(f, z, 5)
    assert svd.engine in ("jvp", "double_vjp")
    assert svd.engine_note.startswith("replay: ")
    J = torch.autograd.functional.jacobian(f, z).reshape(svd.U[0].numel(), -1)
    torch.testing.assert_close(svd.S, torch.linalg.svdvals(J)[:5])


def test_a_derivative_that_autograd_does_not_take_is_not_taken() -> None:
    z = image(6, 5)
    svd = topk_jacobian_svd(lambda x: x * x.sin().detach(), z, 5)
    torch.testing.assert_close(svd.S, z.sin().abs().flatten().sort(descending=True).values[:5])


def test_the_tape_holds_one_sample(of_kind: Callable[..., tuple[Map, Tensor]]) -> None:
    from hspace_jacobian.engines import Replay

    f, z = of_kind("unet", torch.float32)
    tape = Replay(f, z).tape
    activations = 16 * 16 * 16 * 4  # the largest value: 16 channels of 16 x 16
    assert 10 * activations < tape.bytes < 60 * activations
