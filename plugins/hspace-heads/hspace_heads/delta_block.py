"""Asyrp's implicit function f_t, in the two forms that its published checkpoints have, and with other options."""

from collections.abc import Sequence

from torch import Tensor, nn

from hspace import Head, State
from hspace_heads.conditioning import Conditioning
from hspace_heads.initial import seeded, start
from hspace_heads.options import Act, BlockForm, Init, Norm, Time, check_between, one_of

EPS = {"pesser": 1e-6, "openai": 1e-5}
"""The epsilon of the group norms in each published form."""


class DeltaBlock(Head):
    """delta_h = W2 SiLU(GN(W1 h + b1 + Wt SiLU(temb) + bt)) + b2; the openai form reads SiLU(GN(h)) in place of h.

    W1 and W2 are 1x1 convolutions; other options put something else in the place of the sum with temb, of GN and of
    SiLU (see Conditioning). Source: Kwon et al., Asyrp, and the released checkpoints (DDPM++ ones are of the pesser
    form, iDDPM and ADM ones of the openai form).
    """

    def __init__(
        self, channels: int, temb_dim: int | None, form: BlockForm, conditioning: Conditioning, init: Init
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.norm_in = conditioning.plain_norm(channels) if form == "openai" else None
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.time_proj = conditioning.time_proj(channels, temb_dim, init)
        self.norm_out = conditioning.make_norm(channels)
        self.proj_out = nn.Conv2d(channels, channels, 1)
        start(self.proj_out, init)

    def forward(self, state: State) -> Tensor:
        z = state.h if self.norm_in is None else self.conditioning.activate(self.norm_in(state.h))
        z = self.conditioning(self.proj_in(z), state.temb, self.time_proj, self.norm_out)
        delta_h: Tensor = self.proj_out(z)
        return delta_h.to(state.h.dtype)


def build(
    h_shape: Sequence[int],
    temb_dim: int | None,
    form: BlockForm = "pesser",
    time: Time = "add",
    norm: Norm = "group",
    act: Act = "silu",
    norm_num_groups: int = 32,
    init: Init = "zero",
    seed: int = 0,
) -> DeltaBlock:
    """A delta-block for h of `h_shape`, its weights drawn from `seed`.

    With `init="zero"` its first edit is none: the last layer starts at 0, and its gradient does not. A loss that only
    sees the direction of an edit has no gradient there; `small` starts with an edit that is too small to be seen.
    `random` is torch's own start, as in the paper: its first edit is a random one.
    Raises UsageError for an option that is not there, groups that do not divide the channels, or a backbone without
    temb.
    """
    one_of("delta-block", "form", form, BlockForm)
    one_of("delta-block", "init", init, Init)
    check_between("delta-block", h_shape, temb_dim, time, norm, act, norm_num_groups)
    with seeded(seed):
        return DeltaBlock(h_shape[0], temb_dim, form, Conditioning(time, norm, act, norm_num_groups, EPS[form]), init)
