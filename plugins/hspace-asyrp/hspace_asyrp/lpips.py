"""LPIPS: how far apart two pictures look, by AlexNet's features and linear weights fitted to people's judgements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from hspace.archive import read_checkpoint
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.storage import check_finite, tensor_sha256

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and standard deviation of pictures in [-1, 1]."""
CHANNELS = (64, 192, 384, 256, 256)
TAPS = (1, 4, 7, 9, 11)
"""Where the five feature maps are taken: after each ReLU."""
SMALLEST = 31
"""The smallest side, in pixels, that leaves something of the last feature map."""
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
LAYOUTS = (
    (re.compile(r"(?:net\.)?features\.(\d+)\.(weight|bias)"), "features.{0}.{1}"),
    (re.compile(r"net\.slice\d\.(\d+)\.(weight|bias)"), "features.{0}.{1}"),
    (re.compile(r"lin(\d)\.model\.1\.(weight)"), "heads.{0}.{1}"),
    (re.compile(r"lins\.(\d)\.model\.1\.(weight)"), "heads.{0}.{1}"),
)
"""How tensors are called by torchvision's AlexNet, by the lpips package's whole module, and by its alex.pth."""


class Lpips(nn.Module):
    """LPIPS, version 0.1, with AlexNet; frozen. Its features have the layers and the numbers of torchvision's AlexNet.

    Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (arXiv:1801.03924).
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in CHANNELS)
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The distances (B,) of images x and y (B, 3, H, W) in [-1, 1]; raises as `maps` does."""
        return self.between(self.maps(x), self.maps(y))

    def between(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
        """The distances (B,) by the feature maps: eq. 1, the sum over layers l of the mean of w_l . (x_l - y_l)^2."""
        layers = zip(self.heads, x, y, strict=True)
        return torch.stack([head((one - other).square()).mean(dim=(1, 2, 3)) for head, one, other in layers]).sum(dim=0)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The five feature maps of images (B, 3, H, W), of unit length at every place.

        Raises UsageError for pictures of less than 31 pixels a side.
        """
        if min(x.shape[-2:]) < SMALLEST:
            raise UsageError(
                f"LPIPS needs pictures of at least {SMALLEST} pixels a side; these are {x.shape[-1]}x{x.shape[-2]}. "
                f"Leave --lpips away to measure with the encoder."
            )
        x = (x.float() - self.shift) / self.scale
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in TAPS:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found

    def digest(self) -> str:
        """The sha256 of the weights, in hex."""
        parts = [f"{name} {tensor_sha256(tensor)}" for name, tensor in sorted(self.state_dict().items())]
        return sha256("\n".join(["lpips 0.1", *parts]).encode()).hexdigest()


def read_lpips(places: Sequence[Path]) -> Lpips:
    """LPIPS with the weights in those files, or in the files of those folders, whatever of its two parts each holds.

    Read are torchvision's AlexNet, the lpips package's `alex.pth` (the linear weights), and a whole module of that
    package. Raises NotFoundError for a file that is not there, RefusedError for one that is unsafe or damaged and
    where a part is missing.
    """
    files = [file for place in places for file in _files(place)]
    weights: dict[str, Tensor] = {}
    for file in files:
        known = _renamed(read_checkpoint(file))
        check_finite(file, known)
        weights |= known
    told = ", ".join(map(str, files))
    module = Lpips()
    missing = sorted(set(module.state_dict()) - set(weights))
    if missing:
        lacking = "AlexNet's features" if missing[0].startswith("features") else "the linear weights"
        raise RefusedError(
            f"{told}: {lacking} of LPIPS are missing ({missing[0]}); give torchvision's alexnet-owt-*.pth and the "
            f"lpips package's alex.pth"
        )
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise RefusedError(f"{told} hold no LPIPS with AlexNet: {' '.join(str(error).split())[:300]}") from error
    return module


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    files = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise NotFoundError(f"the folder {place} holds no weights of LPIPS ({', '.join(SUFFIXES)})")
    return files


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in weights.items():
        for pattern, ours in LAYOUTS:
            if match := pattern.fullmatch(name):
                found[ours.format(*match.groups())] = tensor
    return found
