"""A training that is stopped: it says how far it came, and goes on; what is damaged is told and begun anew."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hspace import Direction
from hspace.errors import HspaceError, HspaceWarning
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build

from .colours import Colours, found, task

pytestmark = pytest.mark.usefixtures("hspace_home", "ctrl_c_heard")
CONFIG = {"fidelity": "paper", "head": "table", "t_edit": 400, "t_boost": 0, "epochs": 6, "rate": 0.05}


def press_ctrl_c(done: int, total: int) -> None:
    if done == 3:
        signal.raise_signal(signal.SIGINT)


def interrupted(colours: Colours) -> None:
    backbone = PlantedBackbone()
    asked = replace(task(colours, backbone), progress=press_ctrl_c)
    with pytest.raises(KeyboardInterrupt, match="stopped after 3 of 12 passes; the same call goes on from there"):
        next(build(**CONFIG).find(backbone, asked))


def finished(colours: Colours) -> Direction:
    return found(colours, **CONFIG)[1]


def checkpoint(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "hspace-cache" / "training").rglob("checkpoint.safetensors")
    return path


def same(one: Direction, other: Direction) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_ctrl_c_leaves_a_checkpoint_and_the_next_call_gives_the_bits_of_a_whole_run(
    colours: Colours, tmp_path: Path
) -> None:
    whole = finished(colours)
    interrupted(colours)
    assert checkpoint(tmp_path).is_file()
    seen: list[int] = []
    backbone = PlantedBackbone()
    asked = replace(task(colours, backbone), progress=lambda done, total: seen.append(done))
    assert same(next(build(**CONFIG).find(backbone, asked)), whole)
    assert seen[0] == 4


@pytest.mark.parametrize("at", [20, -1], ids=["header", "values"])
def test_a_damaged_checkpoint_is_told_and_the_training_starts_anew(colours: Colours, tmp_path: Path, at: int) -> None:
    interrupted(colours)
    damaged = bytearray(checkpoint(tmp_path).read_bytes())
    damaged[at] ^= 1
    checkpoint(tmp_path).write_bytes(damaged)
    with pytest.warns(HspaceWarning, match="the training starts anew: .*checkpoint"):
        again = finished(colours)
    assert same(again, finished(colours))


def test_a_cache_that_cannot_be_written_is_told_before_the_training(
    colours: Colours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "file"))
    with pytest.raises(HspaceError, match="cannot write to"):
        finished(colours)
