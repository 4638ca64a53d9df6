"""Pictures of files and of sources, and what is left out."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from hspace.errors import HspaceError, HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.labels import Labels
from hspace.pictures import pictures_of_files, pictures_of_source
from hspace.plugins import Plugins
from hspace.storage import sha256
from hspace.testing import write_plugin as write_plugin

SOURCE = """
    import hspace, torch

    @hspace.hookimpl
    def hspace_sources(): return [hspace.Card("greys", "greys:build", "grey pictures")]

    class Greys:
        def __init__(self, size, level): self.size, self.level = size, level
        def images(self, n): return torch.full((min(n, 6), 3, self.size, self.size), self.level)

    def build(size: int = 8, level: float = 0.5): return Greys(size, level)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them broken, and a text."""
    for index, name in enumerate(("a.png", "b.png", "c.png")):
        Image.new("RGB", (20, 16), (80 * index, 0, 0)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:30])
    return tmp_path


def test_broken_files_are_left_out_and_each_is_told(folder: Path) -> None:
    with pytest.warns(HspaceWarning, match=r"b\.png is .*; it is left out"):
        found = pictures_of_files(sorted(folder.iterdir()), 8)
    assert found.images.shape == (2, 3, 8, 8)
    assert found.sha256 == (sha256(folder / "a.png"), sha256(folder / "c.png"))
    assert list(found.skipped) == [folder / "b.png"]
    assert found.data == "2 pictures"


def test_labels_are_those_of_the_pictures_that_can_be_read(folder: Path) -> None:
    labels = Labels("red", {"a.png": 1, "b.png": 2, "c.png": 3}, Path("red.csv"))
    with pytest.warns(HspaceWarning, match="it is left out"):
        found = pictures_of_files(sorted(folder.iterdir()), 8, labels)
    assert found.labels is not None
    assert found.labels.tolist() == [1, 3]
    assert found.data == "2 pictures, red by red.csv"


def test_nothing_but_broken_files_is_refused(folder: Path) -> None:
    with pytest.raises(RefusedError, match="none of the 1 pictures can be read") as caught:
        pictures_of_files([folder / "b.png"], 8)
    assert caught.value.exit_code == 3


def test_a_source_gets_the_size_of_the_backbone_and_the_settings_asked_for(
    write_plugin: Callable[[str, str], Plugins],
) -> None:
    write_plugin("greys", SOURCE)
    found = pictures_of_source("greys", 2, 16, seed=9, config={"level": 0.25})
    assert torch.equal(found.images, torch.full((2, 3, 16, 16), 0.25))
    assert found.data == "2 pictures of greys (size 16, level 0.25)"  # it takes no seed


def test_pictures_of_another_size_are_resized(write_plugin: Callable[[str, str], Plugins]) -> None:
    write_plugin("greys", SOURCE)
    found = pictures_of_source("greys", 1, 16, config={"size": 32})
    torch.testing.assert_close(found.images, torch.full((1, 3, 16, 16), 0.5))


def test_bad_calls_of_a_source_are_told(write_plugin: Callable[[str, str], Plugins]) -> None:
    write_plugin("greys", SOURCE)
    with pytest.raises(NotFoundError, match="did you mean 'greys'"):
        pictures_of_source("grey", 1, 8)
    with pytest.raises(UsageError, match="has no setting 'colour'; it takes size, level"):
        pictures_of_source("greys", 1, 8, config={"colour": 1})
    with pytest.raises(UsageError, match="ask for at least 1"):
        pictures_of_source("greys", 0, 8)
    with pytest.raises(HspaceError, match="has 6 pictures; 7 were asked for"):
        pictures_of_source("greys", 7, 8)


def test_a_source_that_knows_no_attribute_says_so(write_plugin: Callable[[str, str], Plugins]) -> None:
    write_plugin("greys", SOURCE)
    with pytest.raises(UsageError, match="knows no attribute 'light' of its pictures; it knows none"):
        pictures_of_source("greys", 2, 8, attribute="light")
