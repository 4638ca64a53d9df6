"""hspace: find, measure, store, share and apply semantic directions in the h-space of frozen diffusion models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from hspace.backbone import Backbone, Guided, State
    from hspace.cards import Card
    from hspace.direction import Direction
    from hspace.discovery import discover
    from hspace.encoder import Encoder
    from hspace.errors import HspaceError
    from hspace.finder import Finder, Task
    from hspace.head import Head
    from hspace.loading import load_backbone, load_direction, load_encoder
    from hspace.sampling import edit, invert, sample
    from hspace.unet import ReplayBackbone, SplitUNet

hookimpl = pluggy.HookimplMarker("hspace")
"""Marks a function of a plugin's entry module as the implementation of a hook of `hspace.hookspecs`."""

_HOME = {
    "Backbone": "backbone",
    "Card": "cards",
    "Direction": "direction",
    "Encoder": "encoder",
    "Finder": "finder",
    "Guided": "backbone",
    "Head": "head",
    "HspaceError": "errors",
    "ReplayBackbone": "unet",
    "SplitUNet": "unet",
    "State": "backbone",
    "Task": "finder",
    "discover": "discovery",
    "edit": "sampling",
    "invert": "sampling",
    "load_backbone": "loading",
    "load_direction": "loading",
    "load_encoder": "loading",
    "sample": "sampling",
}

__all__ = [
    "Backbone",
    "Card",
    "Direction",
    "Encoder",
    "Finder",
    "Guided",
    "Head",
    "HspaceError",
    "ReplayBackbone",
    "SplitUNet",
    "State",
    "Task",
    "discover",
    "edit",
    "hookimpl",
    "invert",
    "load_backbone",
    "load_direction",
    "load_encoder",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hspace' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"hspace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
