"""Unsupervised h-space directions from the singular vectors of a U-Net's Jacobian."""

from importlib import import_module
from typing import TYPE_CHECKING

import typer

import hspace

if TYPE_CHECKING:
    from hspace_jacobian.result import JacobianSVD
    from hspace_jacobian.svd import topk_jacobian_svd

__all__ = ["JacobianSVD", "topk_jacobian_svd"]

_HOMES = {"JacobianSVD": "result", "topk_jacobian_svd": "svd"}


@hspace.hookimpl
def hspace_finders() -> list[hspace.Card]:
    """Those that need nothing but latents, and those that go by labels or by prompts."""
    return [
        hspace.Card(
            "jacobian-svd",
            "hspace_jacobian.finder:build",
            "the leading singular vectors of x_t -> h, with residuals; training-free",
            facts={"source": "Park et al. (arXiv:2307.12868)"},
        ),
        hspace.Card(
            "jacobian-global",
            "hspace_jacobian.global_finder:build",
            "the directions that the singular vectors around many latents have in common",
            facts={"source": "Park et al. (arXiv:2307.12868)", "samples": 8},
        ),
        hspace.Card(
            "jacobian-parts",
            "hspace_jacobian.parts_finder:build",
            "these directions turned so that each moves a part of the picture of its own",
            facts={"source": "Kaiser, varimax (1958), of what singular vectors do to pictures"},
        ),
        hspace.Card(
            "pca",
            "hspace_jacobian.pca:build",
            "the principal components of h over many latents, per timestep or joint",
            facts={"source": "Haas et al. (arXiv:2303.11073)", "samples": 64},
        ),
        hspace.Card(
            "mean-difference",
            "hspace_jacobian.mean_difference:build",
            "from the mean h of pictures without an attribute to that of pictures with it, by labels",
            needs=("labels",),
            facts={"source": "Haas et al. (arXiv:2303.11073)", "samples": 64},
        ),
        hspace.Card(
            "mean-difference-text",
            "hspace_jacobian.mean_difference:build_text",
            "the same between the pictures that an encoder finds nearest to one prompt and to the other",
            needs=("prompts", "encoder"),
            facts={"source": "Haas et al. (arXiv:2303.11073)", "samples": 64},
        ),
    ]


@hspace.hookimpl
def hspace_commands(app: typer.Typer) -> None:
    """`hspace transport` and `hspace shoot`."""
    from hspace_jacobian.carrying_commands import shoot, transport

    app.command("transport")(transport)
    app.command("shoot")(shoot)


def __getattr__(name: str) -> object:
    if name in _HOMES:  # looked up on first use, so that importing the plugin costs no torch
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
