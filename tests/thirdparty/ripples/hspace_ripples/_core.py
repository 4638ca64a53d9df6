"""The code behind the cards."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hspace import Backbone, Direction, Finder, Head, State, Task
from hspace.meta import Scope, Strength
from hspace.schedule import alphas_cumprod


class Ripples(Backbone):
    """h = tanh(conv x_t), eps = conv' h: no skips, no time."""

    def __init__(self) -> None:
        super().__init__(alphas_cumprod())
        self.down = nn.Conv2d(3, 32, 4, stride=4)
        self.up = nn.ConvTranspose2d(32, 3, 4, stride=4)

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        return State(x_t, t, self.down(x_t).tanh(), None)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        eps: Tensor = self.up(state.h if delta_h is None else state.h + delta_h)
        return eps


class Shift(Head):
    """The same shift for every state."""

    def __init__(self, h_shape: Sequence[int]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(*h_shape))

    def forward(self, state: State) -> Tensor:
        return self.shift.expand_as(state.h).to(state.h.dtype)


class Power(Finder):
    """The h-direction that x_t moves most, at one timestep."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        t = len(backbone.alphas_cumprod) // 2
        x_t = task.x_T[:1].clone().requires_grad_()
        h = backbone.encode_h(x_t, torch.tensor([float(t)])).h
        u = torch.randn(h.shape, generator=torch.Generator().manual_seed(task.seed)).requires_grad_()
        (v,) = torch.autograd.grad(h, x_t, u, create_graph=True)  # v = J' u, linear in u
        for _ in range(self.iterations):
            (w,) = torch.autograd.grad(v, u, _pulled(h, x_t, u), retain_graph=True)  # J J' u
            u.data = w / w.norm()
        yield Direction.bind(
            backbone,
            what="loudest",
            finder="ripples-power",
            head="ripples-shift",
            config={},
            weights={"shift": (u / u.norm())[0].detach()},
            steps=task.steps,
            t_edit=t,
            strength=Strength(default=2, min=-4, max=4),
            scope=Scope(kind="local", x_T_seed=task.seed),
        )


def _pulled(h: Tensor, x_t: Tensor, u: Tensor) -> Tensor:
    (v,) = torch.autograd.grad(h, x_t, u.detach(), retain_graph=True)
    return v


def load(device: str = "cpu", dtype: torch.dtype | None = None) -> Ripples:
    """The backbone, with the same random weights at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Ripples().to(device, dtype or torch.float32)


def build_head(h_shape: Sequence[int], temb_dim: int | None) -> Shift:
    """The head."""
    return Shift(h_shape)


def build_finder(iterations: int = 80) -> Power:
    """The finder."""
    return Power(iterations)
