"""Files that are whole or absent: atomic writes, and safetensors read with suspicion."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from hspace.errors import HspaceError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from torch import Tensor

TEMPORARY = ".hspace-"
"""How the names of unfinished files begin; a kill can leave one behind, and nothing ever reads it."""


def cache_folder() -> Path:
    """Where downloads and converted checkpoints are kept: `HSPACE_CACHE`, or the platform's place for caches."""
    named = os.environ.get("HSPACE_CACHE")
    return Path(named) if named else user_cache_path("hspace", appauthor=False)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, fsynced, when the block ends well, and vanishes otherwise.

    Raises HspaceError when the folder cannot be written or the disk is full; `path` is then as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide the file from others
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HspaceError(f"could not write {path}: {reason}; nothing was changed. Choose another folder.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, atomically."""
    with writing(path) as temporary:
        temporary.write_bytes(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hex. Raises NotFoundError when it is not there."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error


def read_tensors(path: Path, digest: str | None = None, *, finite: bool = True) -> dict[str, "Tensor"]:
    """The tensors of a safetensors file, on the CPU.

    Raises NotFoundError when it is not there, RefusedError when its sha256 is not `digest`, or when it is damaged,
    names a tensor twice, or, unless `finite` is false, holds a value that is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()  # once, so that what was checked is what is used
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no file {path}") from error
    if digest is not None and (found := hashlib.sha256(data).hexdigest()) != digest:
        raise RefusedError(f"{path} was changed: its sha256 is {found[:12]}..., it should be {digest[:12]}...")
    try:
        length = int.from_bytes(data[:8], "little")
        json.loads(data[8 : 8 + length], object_pairs_hook=_no_repeats)
        tensors: dict[str, Tensor] = load(data)
    except (SafetensorError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise RefusedError(f"{path} is not a sound safetensors file: {error}") from error
    if finite:
        check_finite(path, tensors)
    return tensors


def check_finite(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Raises RefusedError when a tensor of the file at `path` holds a value that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise RefusedError(f"{path} holds values that are not finite (NaN or infinity) in {name!r}")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name occurs twice in its header")
    return dict(pairs)


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> str:
    """Writes tensors as safetensors, atomically; returns the file's sha256 in hex."""
    data = tensor_bytes(tensors)
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def require_writable(folder: Path) -> None:
    """Makes the folder where it is missing; raises HspaceError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HspaceError(f"cannot write to {folder}: {error.strerror or error}. Choose another folder.") from error


def tensor_sha256(tensor: "Tensor") -> str:
    """The sha256 of a tensor's values, in hex; wherever the tensor is, the same values give the same."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()


def tensor_bytes(tensors: Mapping[str, "Tensor"]) -> bytes:
    """Tensors as the content of a safetensors file; the same tensors give the same bytes."""
    from safetensors.torch import save

    data: bytes = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    return data
