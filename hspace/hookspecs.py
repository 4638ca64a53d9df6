"""The hooks a plugin may implement. All are pure and return lists; none may import anything heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from hspace.cards import Card

hookspec = pluggy.HookspecMarker("hspace")


@hookspec
def hspace_backbones() -> list[Card]:
    """Backbones. Target: `load(device, dtype) -> Backbone`, with `folder` too where `needs` says so.

    A card with a `store` (a `hspace.store.Store`) has no target of its own: its family reads what the store fetches.

    Facts: x_shape, h_shape, h_site, family, licence, source, weights.
    """
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_heads() -> list[Card]:
    """Editor heads. Target: `build(h_shape, temb_dim, **config) -> Head`."""
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_finders() -> list[Card]:
    """Finders. Target: `build(**config) -> Finder`; `needs` names the Task fields that must be given."""
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_encoders() -> list[Card]:
    """Encoders. Target: `load(device) -> Encoder`: images and texts to unit vectors (B, D).

    A card that needs "model" is a family: its target takes `model` too, the name that was asked for or the path of a
    folder or a file, and returns None for one that it does not know.
    """
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_importers() -> list[Card]:
    """Importers of other formats. Target: `read(path) -> Direction`, or None if the file is not of its format.

    The direction's backbone has no fingerprint, and is called "unknown" where the file does not tell it: core ties the
    direction to its backbone. Further parameters, all optional, are what the user may say beyond the file: prompts,
    t_edit, t_boost, steps, cosine.
    """
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_sources() -> list[Card]:
    """Image sources. Target: `build(**config) -> Source`: images, with attributes and captions where known."""
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_metrics() -> list[Card]:
    """Metrics. Target: `build(**config) -> Metric`; `needs` names what must be there before it can be built.

    That is orig, recon, edit, attributes, prompts or encoder. Of prompts, encoder, strength, seed and device `build`
    gets those that it has parameters for; its other parameters are settings.
    """
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_zoos() -> list[Path]:
    """Folders laid out as a zoo: `backbones/`, `encoders/`, `directions/`, `recipes/`, `remote/`, and `zoo.json`.

    The last names the default backbone.
    """
    raise AssertionError("a hook specification is not called")


@hookspec
def hspace_commands(app: typer.Typer) -> None:
    """Add commands to the `hspace` command line; import what they need inside them."""
