"""The world of colours as a plugin, for commands in processes of their own: HSPACE_PLUGINS=world.py."""

import sys
from pathlib import Path
from typing import Any

import hspace


@hspace.hookimpl
def hspace_backbones() -> list[hspace.Card]:
    """The planted toy."""
    facts = {"x_shape": (3, 8, 8), "h_shape": (32, 4, 4), "h_site": "mid.out"}
    return [hspace.Card("planted", "world:backbone", "a toy", facts=facts)]


@hspace.hookimpl
def hspace_encoders() -> list[hspace.Card]:
    """What sees the mean colour."""
    return [hspace.Card("colours", "world:encoder", "colours")]


def backbone(device: str, dtype: Any) -> hspace.Backbone:
    """The planted toy."""
    from hspace.testing import PlantedBackbone

    return PlantedBackbone().to(device)


def encoder(device: str) -> Any:
    """What sees the mean colour."""
    sys.path.insert(0, str(Path(__file__).parent))
    from colours import Colours

    return Colours()
