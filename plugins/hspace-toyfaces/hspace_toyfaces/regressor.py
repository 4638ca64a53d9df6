"""The attribute regressor: a small convolutional net that reads a toy face's attributes from its pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from hspace.errors import NotFoundError, RefusedError

SIDE = 64
SQUEEZED = 24
WEIGHTS, CARD = "regressor.safetensors", "card.json"


class Regressor(nn.Module):
    """Attributes (B, A) of images (B, 3, S, S) in [-1, 1], S up to 64; smaller ones are enlarged first.

    One convolution halves the image for each of `channels`, a second one follows at the same size; what is left
    is squeezed and flattened, so that places survive, into `features` numbers that the last layer reads.
    """

    def __init__(self, attributes: int, channels: tuple[int, ...], features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level, (before, width) in enumerate(zip((3, *channels), channels, strict=False)):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
            if level:
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
        left = SIDE >> len(channels)
        self.body = nn.Sequential(*layers, nn.Conv2d(channels[-1], SQUEEZED, 1), nn.Flatten(), nn.SiLU())
        self.penultimate = nn.Linear(SQUEEZED * left * left, features)
        self.last = nn.Linear(features, attributes)

    def features(self, images: Tensor) -> Tensor:
        """The features (B, D) that the last layer reads, and that the Frechet distance compares."""
        if images.shape[-1] != SIDE:
            images = interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        features: Tensor = self.penultimate(self.body(images))
        return nn.functional.silu(features)

    def predict(self, images: Tensor) -> Tensor:
        """The attributes (B, A), columns in the order of `hspace_toyfaces.attributes.NAMES`."""
        attributes: Tensor = self.last(self.features(images))
        return attributes

    def forward(self, images: Tensor) -> Tensor:
        """The same as `predict`."""
        return self.predict(images)


def load_regressor(folder: Path | None = None, device: torch.device | str = "cpu") -> Regressor:
    """The frozen regressor in `folder`; without one, that of the zoo (`regressors/toyfaces`), in float32.

    Raises NotFoundError when it is not there, RefusedError when its files are damaged or do not fit each other.
    """
    folder = folder or _zoo_regressor()
    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise NotFoundError(f"{folder} holds no regressor: {CARD} and {WEIGHTS} must be there")
    try:
        net = json.loads((folder / CARD).read_text(encoding="utf-8"))["net"]
        regressor = Regressor(len(net["attributes"]), tuple(net["channels"]), net["features"])
        regressor.load_state_dict({name: w.float() for name, w in load_file(folder / WEIGHTS).items()})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RefusedError(f"{folder} holds a damaged regressor ({type(error).__name__}: {error})") from error
    return regressor.to(device).eval().requires_grad_(False)


def load_features(device: str) -> Callable[[Tensor], Tensor]:
    """From images (B, 3, S, S) in [-1, 1] to the features (B, D) of the zoo's regressor; raises as `load_regressor`."""
    regressor = load_regressor(device=device)
    return lambda images: regressor.features(images.to(device))


def _zoo_regressor() -> Path:
    from hspace.plugins import plugins

    for _, zoo in plugins().zoos:
        if (zoo / "regressors" / "toyfaces" / CARD).is_file():
            return zoo / "regressors" / "toyfaces"
    raise NotFoundError(
        "no zoo holds regressors/toyfaces. Install hspace-zoo, or train one: "
        "hspace toyfaces train-regressor toyfaces-regressor"
    )
