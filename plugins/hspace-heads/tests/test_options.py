"""Combinations of options are held to the contract, on an h that is neither square nor a power of two wide."""

from itertools import cycle, product
from typing import Any

from hspace.testing import HeadContract
from hspace_heads.options import Act, Between, BlockForm, Init, Norm, Time, Tokens, TransformerForm, values

H_SHAPE = (12, 2, 3)
NORMS_AND_ACTS = list(product(values(Norm), values(Act)))


def _make(head: str, **config: Any) -> None:
    title = "Test" + "".join(str(part).title().replace("-", "") for part in (head, *config.values()))
    globals()[title] = type(title, (HeadContract,), {"head": head, "config": config, "h_shape": H_SHAPE})


for _form, _time, (_norm, _act) in product(values(BlockForm), values(Time), NORMS_AND_ACTS):
    _make("delta-block", form=_form, time=_time, norm=_norm, act=_act, norm_num_groups=4)

for _init in values(Init)[1:]:
    _make("delta-block", init=_init, norm_num_groups=4)

# norm and act are the code of both heads, so that here each of their combinations comes up without being multiplied in
for (_form, _tokens, _time), (_norm, _act) in zip(
    product(values(TransformerForm), values(Tokens), values(Time)), cycle(NORMS_AND_ACTS), strict=False
):
    _make(
        "transformer", form=_form, tokens=_tokens, time=_time, norm=_norm, act=_act,
        norm_num_groups=4, heads=2, feed_forward=8,
    )  # fmt: skip

for _between in values(Between):
    _make("table", between=_between, steps=40, t_edit=500)
