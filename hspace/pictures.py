"""Where pictures to work on come from: files, a source of a plugin, or, with neither, latents alone."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hspace.building import run
from hspace.errors import HspaceError, HspaceWarning, UsageError
from hspace.images import load_images
from hspace.plugins import plugins
from hspace.settings import require_known
from hspace.storage import sha256, tensor_sha256

HELD_OUT = 2**34
"""Seeds of pictures to measure on count from here, away from those anything is trained on or chosen by."""


@dataclass(frozen=True)
class Pictures:
    """Pictures (N, 3, S, S) in [-1, 1], the sha256 of each, what to say of where they came from, and what was left out.

    The sha256 is that of a file, or of the values where there is none. `skipped` says why, by file.
    """

    images: Tensor
    sha256: tuple[str, ...]
    data: str
    skipped: Mapping[Path, str]


def pictures_of_files(paths: Sequence[Path], size: int) -> Pictures:
    """The pictures of files, cut and resized to `size`; each one that cannot be read is left out, with a warning.

    Raises RefusedError when none can be read, NotFoundError when there is no such file.
    """
    images, skipped = load_images(paths, size)
    for why in skipped.values():
        warnings.warn(f"{why}; it is left out", HspaceWarning, stacklevel=2)
    named = tuple(sha256(path) for path in images)
    return Pictures(torch.cat(list(images.values())), named, f"{len(images)} pictures", skipped)


def pictures_of_source(
    name: str, n: int, size: int, seed: int = 0, config: Mapping[str, Any] | None = None
) -> Pictures:
    """The first n pictures of a source, by its name in list-sources, resized to `size` where they are of another size.

    Its settings are `config`, and `size` and `seed` where it takes them. Raises NotFoundError for an unknown source,
    UsageError for a setting it does not take and for n below 1, HspaceError where it fails or has fewer pictures.
    """
    if n < 1:
        raise UsageError(f"{n} pictures of {name!r} were asked for; ask for at least 1 with samples")
    source, settings = source_of(name, size, seed, config)
    images = fitted(images_of(source, name, n), size)
    told = ", ".join(f"{key} {value}" for key, value in settings.items())
    named = tuple(tensor_sha256(image) for image in images)
    return Pictures(images, named, f"{n} pictures of {name}" + (f" ({told})" if told else ""), {})


def source_of(name: str, size: int, seed: int, config: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """A source by its name, and the settings it was built with; raises as `pictures_of_source` does."""
    card = plugins().find("sources", name)
    build = card.load()
    require_known(list(config or {}), "sources", name, build)
    takes = inspect.signature(build).parameters
    offered = {key: value for key, value in (("size", size), ("seed", seed)) if key in takes}
    settings = {**offered, **(config or {})}
    return run(card, **settings), settings


def images_of(source: Any, name: str, n: int) -> Tensor:
    """The first n images of a source. Raises HspaceError where it has fewer."""
    images: Tensor = source.images(n)
    if len(images) < n:
        raise HspaceError(f"source {name!r} has {len(images)} pictures; {n} were asked for")
    return images


def fitted(images: Tensor, size: int) -> Tensor:
    """Images (B, 3, H, W) at (size, size), by antialiased bicubic interpolation where they are of another size."""
    if tuple(images.shape[-2:]) == (size, size):
        return images
    return interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
