"""The encoder that sees colours, and a registry of one's own."""

import pytest
import torch

from hspace.testing.fixtures import ctrl_c_heard as ctrl_c_heard
from hspace.testing.fixtures import hspace_home as hspace_home

from .colours import Colours


@pytest.fixture
def colours() -> Colours:
    """The encoder that sees colours."""
    torch.set_num_threads(1)
    return Colours()
