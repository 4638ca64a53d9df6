"""Checkpoint files of strangers: looked at before they are read, and never unpickled."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace.errors import NotFoundError, RefusedError

MOST_MEMBERS = 100_000
LARGEST_HEADER = 100_000_000
ZIP = b"PK\x03\x04"
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that torch saved as a zip archive, and before version 1.6."""


class _Inert:
    """Stands in for the one foreign class in Lightning's checkpoints, the key of a callback's state."""


LIGHTNING = (_Inert, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint file, on the CPU; what the file is, its first bytes say, not its name.

    Raises NotFoundError when it is not there, RefusedError when it is unsafe, damaged, or holds no state dict.
    """
    weights = _state_dict(path, read_content(path))
    check_tensors(path, weights)
    return weights


def read_content(path: Path) -> Any:
    """All that a checkpoint file holds, on the CPU: tensors, and plain numbers, texts, lists and dictionaries.

    Raises NotFoundError when it is not there, RefusedError when it is unsafe or damaged.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    with open(path, "rb") as file:
        start = file.read(len(OLD_TORCH))
    if start.startswith(ZIP):
        check_archive(path)
        return _torch(path, mmap=True)
    return _torch(path, mmap=False) if start == OLD_TORCH else _safetensors(path)


def check_archive(path: Path) -> None:
    """Raises RefusedError when a zip archive is not what torch writes.

    That is: few members, none compressed or encrypted, together no larger than the file, plain names, none twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RefusedError(f"{path} is not a whole checkpoint: {error}") from error
    if len(members) > MOST_MEMBERS:
        raise RefusedError(f"{path} has {len(members)} members; a checkpoint has at most {MOST_MEMBERS}")
    names = [member.orig_filename for member in members]
    for member in members:
        if _unsafe(member.orig_filename):
            raise RefusedError(f"{path} has a member with an unsafe name, {member.orig_filename!r}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise RefusedError(f"{path} has a compressed or encrypted member, {member.filename!r}; torch writes none")
    if len({name.lower() for name in names}) < len(names):
        raise RefusedError(f"{path} has two members of one name")
    if sum(max(member.file_size, member.compress_size) for member in members) > path.stat().st_size:
        raise RefusedError(f"the members of {path} are larger than the file")


def _unsafe(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return not name or "\0" in name or "\\" in name or name.startswith("/") or name[1:2] == ":" or ".." in parts


def _torch(path: Path, mmap: bool) -> Any:
    try:
        with torch.serialization.safe_globals([LIGHTNING]):
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError, ...
        if found := re.search(r"(?:global|GLOBAL|class|function|type)[: ]+`?([\w.]+\.[\w.]+)", str(error)):
            raise RefusedError(f"{path} asks for {found[1]}, which is code; hspace runs none of a file's") from error
        raise RefusedError(f"{path} is damaged, or holds more than tensors ({type(error).__name__})") from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LARGEST_HEADER):
                raise ValueError("it begins like neither a torch nor a safetensors file")
            json.loads(file.read(length), object_pairs_hook=_no_repeats)
        weights: dict[str, Tensor] = load_file(path)
    except Exception as error:  # SafetensorError, ValueError, RecursionError, KeyError, OSError
        raise RefusedError(f"{path} is not a sound checkpoint: {error}") from error
    return weights


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in its header")
    return dict(pairs)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """The tensors of a file: its whole content, or its `state_dict`, without DataParallel's prefix.

    DDIM's training script writes a list: model, optimizer, epoch, step and, where there are any, averaged weights,
    which its sampling takes.
    Source: https://github.com/ermongroup/ddim, runners/diffusion.py.
    """
    if isinstance(content, list) and len(content) in (4, 5) and isinstance(content[0], dict):
        content = content[4] if len(content) == 5 else content[0]
    inner = content.get("state_dict") if isinstance(content, dict) else None
    weights = inner if isinstance(inner, dict) else content
    if not isinstance(weights, dict) or not weights:
        raise RefusedError(f"{path} holds no state dict")
    strange = [name for name, one in weights.items() if not isinstance(name, str) or not isinstance(one, Tensor)]
    if strange:
        raise RefusedError(f"{path} holds no state dict: {strange[0]!r} in it is not a tensor")
    if all(name.startswith("module.") for name in weights):
        return {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return dict(weights)


def check_tensors(path: Path, weights: dict[str, Tensor]) -> None:
    """Raises RefusedError for a tensor of a form that no network has, or larger than its data in the file."""
    for name, tensor in weights.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise RefusedError(f"{path} holds {name!r} in a form that no network here has")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise RefusedError(f"{path} holds {name!r} larger than its own data")
