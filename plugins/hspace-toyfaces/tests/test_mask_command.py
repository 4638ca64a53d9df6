"""`hspace toyfaces mask` on a rendered face."""

from pathlib import Path

import pytest
import torch

from hspace.errors import UsageError
from hspace.images import load_image, save_picture, to_picture
from hspace_toyfaces.attributes import Attributes, sample_attributes
from hspace_toyfaces.mask_command import mask
from hspace_toyfaces.regions import region_mask
from hspace_toyfaces.renderer import render


@pytest.fixture
def face(tmp_path: Path) -> tuple[Path, Attributes]:
    """A picture of a face without glasses, and its attributes."""
    attributes = sample_attributes(1, torch.Generator().manual_seed(2), "cpu", glasses=-1.0, beard=-1.0)
    save_picture(tmp_path / "face.png", to_picture(render(attributes, 64)[0]))
    return tmp_path / "face.png", attributes


def test_the_region_is_where_the_renderer_drew_it(face: tuple[Path, Attributes], tmp_path: Path) -> None:
    picture, attributes = face
    mask(picture, "mouth", tmp_path / "mask.png")
    found, drawn = load_image(tmp_path / "mask.png", 64)[:, :1] > 0, region_mask(attributes, "mouth", 64)
    assert (found & drawn).sum() > 0.5 * (found | drawn).sum()


@pytest.mark.parametrize(("region", "message"), [("nostril", "no region 'nostril'"), ("glasses", "shows no glasses")])
def test_a_region_that_is_not_there_is_refused(
    face: tuple[Path, Attributes], tmp_path: Path, region: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mask(face[0], region, tmp_path / "mask.png")
    assert not (tmp_path / "mask.png").exists()
