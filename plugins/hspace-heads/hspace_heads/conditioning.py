"""What stands between the two layers of a head: the time embedding, a norm, an activation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from hspace_heads.options import Act, Init, Norm, Time

ACTS: Mapping[Act, Callable[[Tensor], Tensor]] = {"silu": F.silu, "gelu": F.gelu, "relu": F.relu}
ADAGN_EPS = 1e-5
"""The epsilon of the adaptive norm, whatever the head's own is; the reproduction's."""


@dataclass(frozen=True)
class Conditioning:
    """The options of what stands between the layers, and the map z -> act(norm(z, temb)) that they make.

    `add`: act(norm(z + Wt SiLU(temb) + bt)), as published. `multiply`: the same with a product. `adagn`:
    act((1 + s) norm(z) + b) with (s, b) = Wt temb + bt, and no weights of the norm's own. `none`: act(norm(z)).
    Source: Kwon et al., Asyrp, for `add`; its reproduction (asyrp-extension) for the others.
    """

    time: Time
    norm: Norm
    act: Act
    norm_num_groups: int
    eps: float

    def time_proj(self, channels: int, temb_dim: int | None, init: Init) -> nn.Linear | None:
        """Wt and bt, None without time; a factor starts near 1 unless the init is torch's own."""
        if self.time == "none" or temb_dim is None:
            return None
        layer = nn.Linear(temb_dim, 2 * channels if self.time == "adagn" else channels)
        if self.time == "multiply" and init != "random":
            nn.init.ones_(layer.bias)
        return layer

    def make_norm(self, channels: int) -> nn.GroupNorm:
        """The norm that the time embedding reaches; an instance norm is a group norm of one channel a group."""
        groups = channels if self.norm == "instance" else self.norm_num_groups
        adaptive = self.time == "adagn"
        return nn.GroupNorm(groups, channels, ADAGN_EPS if adaptive else self.eps, affine=not adaptive)

    def plain_norm(self, channels: int) -> nn.GroupNorm:
        """A norm with weights of its own, for a place that the time embedding does not reach."""
        return nn.GroupNorm(channels if self.norm == "instance" else self.norm_num_groups, channels, self.eps)

    def activate(self, z: Tensor) -> Tensor:
        """act(z)."""
        return ACTS[self.act](z)

    def __call__(self, z: Tensor, temb: Tensor | None, time_proj: nn.Linear | None, norm: nn.GroupNorm) -> Tensor:
        """act(norm(z, temb)) for z (B, C, H, W) and temb (B, D)."""
        if time_proj is None or temb is None:
            return self.activate(norm(z))
        if self.time == "adagn":
            scale, shift = time_proj(temb)[:, :, None, None].chunk(2, dim=1)
            return self.activate(norm(z) * (1 + scale) + shift)
        projected = time_proj(F.silu(temb))[:, :, None, None]
        return self.activate(norm(z + projected if self.time == "add" else z * projected))
