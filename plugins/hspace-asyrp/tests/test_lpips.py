"""LPIPS: the numbers of the lpips package, from every layout in which its weights are published."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace_asyrp.lpips import Lpips, read_lpips

KNOWN = {32: (0.7879617214202881, 0.768754243850708), 64: (0.8472037315368652, 0.8359499573707581)}
"""What lpips 0.1.4 says of `pictures(size)` with the weights below."""


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, tensor in Lpips().state_dict().items():
        drawn = torch.randn(tensor.shape, generator=generator)
        found[name] = drawn.abs() if name.startswith("heads") else drawn / max(1, tensor[0].numel()) ** 0.5
    return found


def pictures(size: int) -> tuple[Tensor, Tensor]:
    one, other = (torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (1, 2))
    return one, other


def heads(name: str) -> dict[str, Tensor]:
    return {name.format(key[6]): tensor for key, tensor in weights().items() if key.startswith("heads")}


def features() -> dict[str, Tensor]:
    """As torchvision's AlexNet calls them, with a layer that LPIPS has no use for."""
    named = {key: tensor for key, tensor in weights().items() if key.startswith("features")}
    return {**named, "classifier.1.bias": torch.zeros(4)}


def slices() -> dict[str, Tensor]:
    """As the lpips package calls the same."""
    first = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
    parts = {key: key.split(".") for key in features() if key.startswith("features")}
    return {f"net.slice{first[int(i)]}.{i}.{name}": weights()[key] for key, (_, i, name) in parts.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files as they are published."""
    torch.save(features(), tmp_path / "alexnet-owt-7be5be79.pth")
    torch.save(heads("lin{}.model.1.weight"), tmp_path / "alex.pth", _use_new_zipfile_serialization=False)
    return tmp_path


@pytest.mark.parametrize("size", KNOWN)
def test_the_distances_are_those_of_the_lpips_package(folder: Path, size: int) -> None:
    assert read_lpips([folder])(*pictures(size)).tolist() == pytest.approx(KNOWN[size], rel=1e-5)


def test_every_published_layout_gives_the_same(folder: Path, tmp_path: Path) -> None:
    known = read_lpips(sorted(folder.iterdir())).digest()
    whole = tmp_path / "whole.pt"
    scaling = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)}
    torch.save({**scaling, **slices(), **heads("lin{}.model.1.weight"), **heads("lins.{}.model.1.weight")}, whole)
    assert read_lpips([whole]).digest() == known


def test_a_picture_is_at_no_distance_from_itself(folder: Path) -> None:
    x, y = pictures(32)
    lpips = read_lpips([folder])
    assert lpips(x, x).tolist() == [0.0, 0.0]
    assert torch.equal(lpips(x, y), lpips(y, x))


def test_half_of_the_weights_is_refused_with_what_is_missing(folder: Path) -> None:
    with pytest.raises(RefusedError, match="the linear weights of LPIPS are missing"):
        read_lpips([folder / "alexnet-owt-7be5be79.pth"])
    with pytest.raises(RefusedError, match="AlexNet's features of LPIPS are missing"):
        read_lpips([folder / "alex.pth"])


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    torch.save(
        {key: tensor.repeat(2, *[1] * (tensor.ndim - 1)) for key, tensor in features().items()}, folder / "z.pth"
    )
    with pytest.raises(RefusedError, match="hold no LPIPS with AlexNet"):
        read_lpips([folder])


def test_a_file_that_runs_code_is_refused(folder: Path) -> None:
    torch.save({"features.0.weight": Path("/")}, folder / "alex.pth")
    with pytest.raises(RefusedError, match="hspace runs none of a file's"):
        read_lpips([folder])


def test_no_file_and_an_empty_folder_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_lpips([tmp_path / "alex.pth"])
    with pytest.raises(NotFoundError, match="holds no weights of LPIPS"):
        read_lpips([tmp_path])


def test_pictures_that_are_too_small_are_told(folder: Path) -> None:
    with pytest.raises(UsageError, match="at least 31 pixels a side; these are 30x30"):
        read_lpips([folder])(*pictures(30))
    assert read_lpips([folder])(*pictures(31)).shape == (2,)
