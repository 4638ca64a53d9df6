"""Backbone families for hspace; each is facts about diffusers' one U-Net class, never a forward of its own."""

import hspace


@hspace.hookimpl
def hspace_backbones() -> list[hspace.Card]:
    """The DDPM++ family, and a random-weight sibling to try things on."""
    source = "Ho et al., DDPM (arXiv:2006.11239), in Song et al.'s DDPM++ layout"
    facts = {"family": "ddpmpp", "h_site": "mid.out", "source": source}
    return [
        hspace.Card(
            "ddpmpp",
            "hspace_backbones.ddpmpp:load",
            "any DDPM++ folder: a zoo's, or one in the hub's layout",
            needs=("folder",),
            facts={**facts, "weights": "bring-your-own"},
        ),
        hspace.Card(
            "ddpmpp-tiny",
            "hspace_backbones.ddpmpp:tiny",
            "DDPM++ in small with random weights, for tests",
            facts={
                **facts,
                "x_shape": (3, 16, 16),
                "h_shape": (32, 4, 4),
                "licence": "Apache-2.0",
                "weights": "bundled",
            },
        ),
    ]
