"""What pictures are turned into before whole sets of them are compared."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import Tensor, nn

from hspace import Encoder
from hspace.archive import read_checkpoint
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace_clip.picture import Preprocess
from hspace_metrics.encoders import Named, called, encoder_of

FORMS = "MODULE:ATTRIBUTE, timm/MODEL, timm/MODEL@FILE or inception@FILE"


class Features(ABC):
    """From images (B, 3, H, W) in [-1, 1], of any size, to rows (B, D); `name` says by what, and how they are resized.

    What may not be known from the name, the size and the range of what the model sees, is said there.
    """

    name: str

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """The rows (B, D)."""


class OfEncoder(Features):
    """An encoder's unit vectors."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.name = f"unit vectors of {encoder.name}"

    def __call__(self, images: Tensor) -> Tensor:
        return self.encoder.images(images)


class OfFunction(Features):
    """What a plugin's function of images gives."""

    def __init__(self, target: str, device: str) -> None:
        self.module = called(target, device, "features")
        self.name = f"features of {target}"

    def __call__(self, images: Tensor) -> Tensor:
        rows: Tensor = self.module(images)
        return rows


class OfTimm(Features):
    """The pooled features of a timm model, resized with an antialiased filter to the size that it was trained at."""

    def __init__(self, model: str, file: str, device: str) -> None:
        import timm

        if model not in timm.list_models(model):
            raise NotFoundError(f"timm has no model {model!r}; see timm.list_models()")
        self.model = _filled(timm.create_model(model, num_classes=0), file) if file else _pretrained(model)
        self.model.to(device).eval().requires_grad_(False)
        self.device = device
        config = timm.data.resolve_model_data_config(self.model)
        kernel = config["interpolation"] if config["interpolation"] in ("bicubic", "bilinear") else "bicubic"
        self.preprocess = Preprocess(tuple(config["input_size"][1:]), config["mean"], config["std"], kernel, "squash")
        side = "x".join(map(str, self.preprocess.size))
        self.name = f"features of timm's {model} ({file or 'pretrained'}), {side} px, antialiased {kernel}"

    def __call__(self, images: Tensor) -> Tensor:
        rows: Tensor = self.model(self.preprocess(images.to(self.device)))
        return rows


class Inception(Features):
    """The 2048 features of the Inception network of FID, from the file in which torch-fidelity publishes it.

    Pictures are rounded to bytes, 0 for black and 255 for white, and resized to 299 px: antialiased bilinear, or as the
    first TensorFlow code had it.
    """

    def __init__(self, file: str, antialias: bool, device: str) -> None:
        from torchmetrics.image.fid import NoTrainInceptionV3

        weights = read_checkpoint(Path(file))
        try:
            with tempfile.TemporaryDirectory() as folder:  # the library unpickles; it gets checked tensors alone
                checked = Path(folder) / "checked.pth"
                torch.save(weights, checked)
                network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(checked), antialias)
        except (RuntimeError, KeyError) as error:
            raise RefusedError(f"{file} holds no Inception of FID: {' '.join(str(error).split())[:200]}") from error
        self.network, self.device = network.to(device).requires_grad_(False), device
        how = "antialiased bilinear" if antialias else "TensorFlow 1's bilinear"
        self.name = f"Inception of FID ({Path(file).name}), bytes, 299x299 px, {how}"

    def __call__(self, images: Tensor) -> Tensor:
        rows: Tensor = self.network(to_bytes(images).to(self.device))
        return rows


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8: -1 is 0, 1 is 255, rounded to the nearest; what lies beyond is clamped."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def features_of(named: str, encoder: Named | None, antialias: bool, device: str) -> Features:
    """The features of that name, or an encoder's where none is named.

    Raises UsageError for a name of no known form, or where there is no encoder; NotFoundError or RefusedError for
    weights that are not to be had or not sound.
    """
    kind, at, file = named.partition("@")
    if not named:
        if encoder is None:
            raise UsageError(f"sets of pictures are compared by their features: name an --encoder, or {FORMS}")
        return OfEncoder(encoder_of(encoder, device))
    if kind.startswith("timm/"):
        return OfTimm(kind.removeprefix("timm/"), file, device)
    if kind == "inception" and at:
        return Inception(file, antialias, device)
    if ":" in named:
        return OfFunction(named, device)
    raise UsageError(f"features are named as {FORMS}; {named!r} was given")


def _pretrained(model: str) -> nn.Module:
    import timm

    try:
        network: nn.Module = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's, timm's own, and those of the network
        told = " ".join(str(error).split())[:200]
        raise NotFoundError(
            f"the weights of timm's {model} are not to be had ({told}); give timm/{model}@FILE"
        ) from error
    return network


def _filled(network: nn.Module, file: str) -> nn.Module:
    """The network with the weights of a file, whose classifier, if it has one, is left out."""
    weights = read_checkpoint(Path(file))
    try:
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        raise RefusedError(f"{file} does not fit the model: {' '.join(str(error).split())[:200]}") from error
    if missing:
        raise RefusedError(f"{file} lacks {len(missing)} tensors of the model, such as {missing[0]!r}")
    return network
