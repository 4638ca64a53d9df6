"""Pictures inverted once: kept under all that x_T depends on, and computed again where that is needed."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import Counting, toy

from hspace import Backbone, State
from hspace.errors import HspaceError
from hspace.fingerprint import identity
from hspace.inverting import INVERTED, invert_once, inverted_before
from hspace.sampling import invert
from hspace.testing import hspace_home as hspace_home

pytestmark = pytest.mark.usefixtures("hspace_home")
STEPS = 4


def pictures(n: int = 5) -> Tensor:
    return torch.rand(n, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "hspace-cache" / "inverted").rglob("*.safetensors"))


def test_what_comes_back_is_what_invert_finds() -> None:
    backbone = toy()
    once = invert_once(backbone, pictures(), steps=STEPS, batch=2)
    torch.testing.assert_close(once.x_T, invert(backbone, pictures(), steps=STEPS), rtol=0, atol=1e-12)
    assert once.from_cache == 0


def test_the_second_time_the_network_is_not_asked_and_the_bits_are_the_same() -> None:
    backbone = Counting(toy())
    first = invert_once(backbone, pictures(), steps=STEPS)
    assert len(backbone.decoded) == STEPS * INVERTED + 1  # one of them for the identity
    asked = len(backbone.encoded)
    second = invert_once(backbone, pictures(), steps=STEPS)
    assert len(backbone.encoded) == asked
    assert second.from_cache == 5
    assert torch.equal(first.x_T, second.x_T)


def test_new_pictures_among_known_ones_are_all_that_is_computed() -> None:
    backbone = toy()
    invert_once(backbone, pictures()[1:3], steps=STEPS)
    assert inverted_before(backbone, pictures(), steps=STEPS) == 2
    assert invert_once(backbone, pictures(), steps=STEPS).from_cache == 2


class Renamed(Backbone):
    """A backbone with another decoder behind the same encoder, whose fingerprint of h is therefore the same."""

    def __init__(self, factor: float) -> None:
        inner = toy()
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.factor = inner, factor

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        return self.inner.encode_h(x_t, t)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        return self.inner.decode_h(state, delta_h) * self.factor


def test_another_decoder_condition_or_number_of_steps_is_another_entry() -> None:
    invert_once(Renamed(1.0), pictures(), steps=STEPS)
    assert invert_once(Renamed(0.9), pictures(), steps=STEPS).from_cache == 0
    assert invert_once(Renamed(1.0), pictures(), steps=STEPS + 1).from_cache == 0
    assert invert_once(Renamed(1.0), pictures(), steps=STEPS, fixed_point=0).from_cache == 0
    bound = Renamed(1.0)
    bound.condition = {"label": 3}
    assert invert_once(bound, pictures(), steps=STEPS).from_cache == 0
    assert invert_once(Renamed(1.0), pictures(), steps=STEPS).from_cache == 5


def test_one_network_has_one_identity() -> None:
    assert identity(toy()) == identity(toy()) != identity(Renamed(0.9))


@pytest.mark.parametrize("at", [8, -60, -1], ids=["header", "values", "end"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, at: int) -> None:
    backbone = toy()
    first = invert_once(backbone, pictures(), steps=STEPS)
    damaged = bytearray(entries(tmp_path)[2].read_bytes())
    damaged[at] ^= 1
    entries(tmp_path)[2].write_bytes(damaged)
    again = invert_once(backbone, pictures(), steps=STEPS)
    assert again.from_cache == 4
    torch.testing.assert_close(again.x_T, first.x_T, rtol=0, atol=1e-12)
    assert invert_once(backbone, pictures(), steps=STEPS).from_cache == 5


def test_an_entry_that_was_cut_off_is_computed_again(tmp_path: Path) -> None:
    invert_once(toy(), pictures(), steps=STEPS)
    entries(tmp_path)[0].write_bytes(entries(tmp_path)[0].read_bytes()[:50])
    assert invert_once(toy(), pictures(), steps=STEPS).from_cache == 4


@contextmanager
def no_room() -> Iterator[None]:
    """Inside, no file may grow beyond a few bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_the_error_says_what_is_kept_and_the_next_call_goes_on(tmp_path: Path) -> None:
    invert_once(toy(), pictures()[:2], steps=STEPS)
    with (
        pytest.raises(HspaceError, match="2 of 5 pictures are inverted and kept: free some space") as caught,
        no_room(),
    ):
        invert_once(toy(), pictures(), steps=STEPS)
    assert "HSPACE_CACHE" in str(caught.value)
    assert len(list((tmp_path / "hspace-cache" / "inverted").rglob("*.*"))) == 2  # nothing half-written
    assert invert_once(toy(), pictures(), steps=STEPS).from_cache == 2


def test_a_cache_that_cannot_be_written_is_told_before_the_network_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "file"))
    backbone = Counting(toy())
    identity(backbone)
    asked = len(backbone.encoded)
    with pytest.raises(HspaceError, match="cannot write to"):
        invert_once(backbone, pictures(), steps=STEPS)
    assert len(backbone.encoded) == asked


@pytest.mark.usefixtures("ctrl_c_heard")
def test_ctrl_c_says_how_far_it_came() -> None:
    def press(done: int, total: int) -> None:
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="4 of 5 pictures are inverted and kept; the same call goes on"):
        invert_once(toy(), pictures(), steps=STEPS, batch=2, callback=press)
    assert invert_once(toy(), pictures(), steps=STEPS).from_cache == 4


KILLED = """
import os, signal
import torch
from toys import toy
from test_inverting import STEPS, pictures
from hspace.inverting import invert_once
kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 60 else None
invert_once(toy(), pictures(100), steps=STEPS, batch=20, callback=kill)
"""


def test_a_hundred_pictures_go_on_where_they_were_killed_with_the_same_bits(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    killed = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(entries(tmp_path)) == 60
    resumed = invert_once(toy(), pictures(100), steps=STEPS, batch=20)
    assert resumed.from_cache == 60
    for entry in entries(tmp_path):
        entry.unlink()
    assert torch.equal(invert_once(toy(), pictures(100), steps=STEPS, batch=20).x_T, resumed.x_T)
