"""The transformer head: Asyrp's implicit function f_t with encoders over tokens in place of the convolutions."""

from collections.abc import Sequence

from torch import Tensor, nn

from hspace import Head, State
from hspace_heads.conditioning import Conditioning
from hspace_heads.encoders import TokenEncoder, token_encoders
from hspace_heads.initial import seeded, start
from hspace_heads.options import (
    Act,
    Init,
    Norm,
    Time,
    Tokens,
    TransformerForm,
    at_least_one,
    check_between,
    one_of,
)

EPS = 1e-6


class TransformerHead(Head):
    """delta_h = Out(act(norm(In(h), temb))), where In and Out are encoders of one kind with weights of their own.

    The pre-norm form ends in a 1x1 convolution; the reproduction's ends in the last encoder's LayerNorm, whose gains
    alone then say how long delta_h is. Source: asyrp-extension, the reproduction of Kwon et al., Asyrp; the pre-norm
    form is ours.
    """

    def __init__(
        self,
        encoders: tuple[nn.Sequential, nn.Sequential],
        channels: int,
        temb_dim: int | None,
        form: TransformerForm,
        conditioning: Conditioning,
        init: Init,
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.encoder_in, self.encoder_out = encoders
        self.time_proj = conditioning.time_proj(channels, temb_dim, init)
        self.norm = conditioning.make_norm(channels)
        self.proj_out = nn.Conv2d(channels, channels, 1) if form == "pre-norm" else None
        start(self.proj_out or _last_norm(self.encoder_out), init)

    def forward(self, state: State) -> Tensor:
        z = self.conditioning(self.encoder_in(state.h), state.temb, self.time_proj, self.norm)
        delta_h: Tensor = self.encoder_out(z)
        if self.proj_out is not None:
            delta_h = self.proj_out(delta_h)
        return delta_h.to(state.h.dtype)


def _last_norm(encoders: nn.Sequential) -> nn.Module:
    last = encoders[-1]
    assert isinstance(last, TokenEncoder)
    assert isinstance(last.encoder, nn.TransformerEncoder)
    assert last.encoder.norm is not None
    return last.encoder.norm


def build(
    h_shape: Sequence[int],
    temb_dim: int | None,
    form: TransformerForm = "pre-norm",
    tokens: Tokens = "pixel",
    heads: int = 4,
    layers: int = 1,
    feed_forward: int | None = None,
    time: Time = "add",
    norm: Norm = "group",
    act: Act = "silu",
    norm_num_groups: int = 32,
    init: Init = "zero",
    seed: int = 0,
) -> TransformerHead:
    """A transformer head for h of `h_shape`, its weights drawn from `seed`.

    `tokens` are h's positions (`pixel`), its channels, or both in turn. `layers` and `heads` are those of each of the
    encoders, `feed_forward` the width inside them: 4 times a token's if not given, or the reproduction's 2048 in its
    form. time, norm and act stand between In and Out; the encoders keep their own. `init` is as in a delta-block:
    with `zero` the last layer (in the reproduction's form the gains of the last LayerNorm) starts at 0.
    Raises UsageError for an option that is not there, heads that do not divide a token's width, groups that do not
    divide the channels, or a backbone without temb.
    """
    name = "transformer"
    one_of(name, "form", form, TransformerForm)
    one_of(name, "tokens", tokens, Tokens)
    one_of(name, "init", init, Init)
    at_least_one(name, heads=heads, layers=layers, feed_forward=feed_forward)
    check_between(name, h_shape, temb_dim, time, norm, act, norm_num_groups)
    conditioning = Conditioning(time, norm, act, norm_num_groups, EPS)
    with seeded(seed):
        encoder_in, encoder_out = (token_encoders(form, tokens, h_shape, heads, layers, feed_forward) for _ in range(2))
        return TransformerHead((encoder_in, encoder_out), h_shape[0], temb_dim, form, conditioning, init)
