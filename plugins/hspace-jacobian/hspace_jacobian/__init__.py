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
    """The finder that needs nothing but latents."""
    return [
        hspace.Card(
            "jacobian-svd",
            "hspace_jacobian.finder:build",
            "the leading singular vectors of x_t -> h, with residuals; training-free",
            facts={"source": "Park et al. (arXiv:2307.12868)"},
        )
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
