"""Pictures inverted once: each x_T is kept under all that it depends on, and read when it is asked for again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.errors import HspaceError, NotFoundError, RefusedError
from hspace.fingerprint import identity
from hspace.sampling import Callback, invert
from hspace.storage import cache_folder, read_tensors, require_writable, tensor_sha256, write_tensors

AT_ONCE = 8
INVERTED = 2
"""How often the network is asked for a picture in each step of an inversion with one refinement."""


@dataclass(frozen=True)
class Inversion:
    """The x_T (N, C, H, W) of N pictures, and how many of them came from the cache."""

    x_T: Tensor
    from_cache: int


def invert_once(
    backbone: Backbone,
    x_0: Tensor,
    *,
    steps: int = 40,
    sequence: str = "asyrp",
    fixed_point: int = 1,
    batch: int = AT_ONCE,
    callback: Callback | None = None,
) -> Inversion:
    """The latents of x_0 (N, C, H, W), as `invert` finds them; those found before come from the cache folder.

    Each picture's is kept as soon as its batch is done, so that a run that was stopped goes on where it was. An entry
    that is damaged is found out by its sha256 and computed again. `callback` gets (pictures done, pictures in all).
    Raises HspaceError when the cache cannot be written or the disk is full; what was kept until then stays.
    """
    paths = _paths(backbone, x_0, steps, sequence, fixed_point)
    found = {index: x_T for index, path in enumerate(paths) if (x_T := _read(path)) is not None}
    missing = [index for index in range(len(paths)) if index not in found]
    from_cache = len(found)
    advance = callback or (lambda done, total: None)
    advance(len(found), len(paths))
    if missing:
        require_writable(_folder())
    for start in range(0, len(missing), batch):
        some = missing[start : start + batch]
        try:
            x_T = invert(backbone, x_0[some], steps=steps, sequence=sequence, fixed_point=fixed_point)
            for index, one in zip(some, x_T, strict=True):
                _keep(paths[index], one)
                found[index] = one
            advance(len(found), len(paths))
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(f"{_kept(paths)}; the same call goes on from there") from interrupt
        except HspaceError as error:
            way_out = "free some space, or set HSPACE_CACHE to another folder; the same call goes on from there"
            raise HspaceError(f"{error} {_kept(paths)}: {way_out}") from error
    return Inversion(torch.stack([found[index].to(x_0) for index in range(len(paths))]), from_cache)


def inverted_before(
    backbone: Backbone, x_0: Tensor, *, steps: int = 40, sequence: str = "asyrp", fixed_point: int = 1
) -> int:
    """How many of x_0 (N, C, H, W) have a latent in the cache, by their names alone."""
    return sum(path.is_file() for path in _paths(backbone, x_0, steps, sequence, fixed_point))


def _folder() -> Path:
    return cache_folder() / "inverted"


def _paths(backbone: Backbone, x_0: Tensor, steps: int, sequence: str, fixed_point: int) -> list[Path]:
    """Where the latent of each picture is kept."""
    how = {"backbone": identity(backbone), "steps": steps, "sequence": sequence, "fixed_point": fixed_point}
    told = ({**how, "x_0": tensor_sha256(one), "shape": list(one.shape)} for one in x_0)
    keys = (sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for one in told)
    return [_folder() / key[:2] / f"{key}.safetensors" for key in keys]


def _keep(path: Path, x_T: Tensor) -> None:
    digest = torch.tensor(list(bytes.fromhex(tensor_sha256(x_T))), dtype=torch.uint8)
    write_tensors(path, {"x_T": x_T, "sha256": digest})


def _read(path: Path) -> Tensor | None:
    """The latent in a file of the cache, None when it is not there or damaged."""
    with suppress(NotFoundError, RefusedError, KeyError, OSError):
        content = read_tensors(path)
        if bytes(content["sha256"].tolist()).hex() == tensor_sha256(content["x_T"]):
            return content["x_T"]
    return None


def _kept(paths: Sequence[Path]) -> str:
    return f"{sum(path.is_file() for path in paths)} of {len(paths)} pictures are inverted and kept"
