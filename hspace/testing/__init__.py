"""Contracts, a planted toy and fixtures for the tests of a plugin; the only part of hspace that needs pytest.

The whole test file of a backbone plugin::

    class TestCat(hspace.testing.BackboneContract):
        card = "ddpm-cat-256-tiny"
"""

import pytest

pytest.register_assert_rewrite(
    *(f"hspace.testing.{name}" for name in ("backbone", "encoder", "finder", "head", "metric"))
)

from hspace.testing.backbone import BackboneContract  # noqa: E402
from hspace.testing.encoder import EncoderContract  # noqa: E402
from hspace.testing.finder import FinderContract  # noqa: E402
from hspace.testing.fixtures import ctrl_c_heard, hspace_home, write_plugin  # noqa: E402
from hspace.testing.head import HeadContract  # noqa: E402
from hspace.testing.imports import HEAVY, heavy_imports  # noqa: E402
from hspace.testing.metric import MetricContract  # noqa: E402
from hspace.testing.planted import PlantedBackbone  # noqa: E402

__all__ = [
    "HEAVY",
    "BackboneContract",
    "EncoderContract",
    "FinderContract",
    "HeadContract",
    "MetricContract",
    "PlantedBackbone",
    "ctrl_c_heard",
    "heavy_imports",
    "hspace_home",
    "write_plugin",
]
