"""What several tests need."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gauges import PLUGIN

from hspace.plugins import Plugins
from hspace.testing import ctrl_c_heard as ctrl_c_heard
from hspace.testing import hspace_home as hspace_home
from hspace.testing import write_plugin as write_plugin

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the subprocesses too: two threads that share a core spin


@pytest.fixture
def gauge(write_plugin: Callable[[str, str], Plugins], hspace_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric plugin of the tests' own, in place of ours."""
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-metrics,hspace-toyfaces")
    write_plugin("gauge", PLUGIN)


@pytest.fixture
def updates() -> list[int]:
    """How many pictures were looked at, call by call."""
    import sys

    from hspace.plugins import plugins

    plugins().find("metrics", "far").load()
    seen: list[int] = sys.modules["gauge"].updates
    return seen
