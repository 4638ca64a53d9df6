"""A third party's plugin: a toy backbone, a constant shift, and the power iteration that finds one."""

import hspace

OWN = {"licence": "0BSD", "source": "written for this test"}


@hspace.hookimpl
def hspace_backbones() -> list[hspace.Card]:
    facts = {"x_shape": (3, 16, 16), "h_shape": (32, 4, 4), "h_site": "down", "weights": "bundled", **OWN}
    return [hspace.Card("ripples", "hspace_ripples._core:load", "one convolution down, one up", facts=facts)]


@hspace.hookimpl
def hspace_heads() -> list[hspace.Card]:
    return [hspace.Card("ripples-shift", "hspace_ripples._core:build_head", "the same shift everywhere", facts=OWN)]


@hspace.hookimpl
def hspace_finders() -> list[hspace.Card]:
    return [hspace.Card("ripples-power", "hspace_ripples._core:build_finder", "power iteration on x_t -> h", facts=OWN)]
