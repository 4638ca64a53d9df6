"""The zoo that comes with hspace: tiny backbones, the recipes that trained them, and directions found on them."""

from pathlib import Path

import hspace


@hspace.hookimpl
def hspace_zoos() -> list[Path]:
    """The zoo's folder: beside this package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    return [package if (package / "backbones").is_dir() else package.parent]
