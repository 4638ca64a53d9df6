"""Asyrp's implicit function f_t, in the two forms that its published checkpoints have."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from hspace import Head, State
from hspace.errors import UsageError

FORMS = {"pesser": 1e-6, "openai": 1e-5}
"""The published forms and the epsilon of their group norms."""


class DeltaBlock(Head):
    """delta_h = W2 SiLU(GN(W1 h + b1 + Wt SiLU(temb) + bt)) + b2; the openai form reads SiLU(GN(h)) in place of h.

    W1 and W2 are 1x1 convolutions. `time=False` leaves the term of temb out. Source: Kwon et al., Asyrp,
    and the released checkpoints (DDPM++ ones are of the pesser form, iDDPM and ADM ones of the openai form).
    """

    def __init__(self, channels: int, temb_dim: int, form: str, norm_num_groups: int, time: bool) -> None:
        super().__init__()
        eps = FORMS[form]
        self.norm_in = nn.GroupNorm(norm_num_groups, channels, eps) if form == "openai" else None
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.time_proj = nn.Linear(temb_dim, channels) if time else None
        self.norm_out = nn.GroupNorm(norm_num_groups, channels, eps)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, state: State) -> Tensor:
        z = state.h if self.norm_in is None else F.silu(self.norm_in(state.h))
        z = self.proj_in(z)
        if self.time_proj is not None and state.temb is not None:
            z = z + self.time_proj(F.silu(state.temb))[:, :, None, None]
        delta_h: Tensor = self.proj_out(F.silu(self.norm_out(z)))
        return delta_h


def build(
    h_shape: Sequence[int],
    temb_dim: int | None,
    form: str = "pesser",
    norm_num_groups: int = 32,
    time: bool = True,
) -> DeltaBlock:
    """A delta-block for h of `h_shape`, with torch's default weights: its first edit is random, as in the paper.

    Raises UsageError for an unknown form, groups that do not divide the channels, or a backbone without temb.
    """
    channels = h_shape[0]
    if form not in FORMS:
        raise UsageError(f"delta-block has the forms {' and '.join(FORMS)}; {form!r} was given")
    if channels % norm_num_groups:
        raise UsageError(f"norm_num_groups must divide the {channels} channels of h; {norm_num_groups} was given")
    if time and temb_dim is None:
        raise UsageError("delta-block reads the time embedding, which this backbone does not give; set time=False")
    return DeltaBlock(channels, temb_dim or 0, form, norm_num_groups, time)
