"""Checkpoints: all that the next step of a run reads, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hspace.errors import RefusedError
from hspace.storage import tensor_sha256, write_bytes

CHECKPOINT = "checkpoint.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A run stopped after `step` steps: every tensor that its next step reads, and JSON facts beside them."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint to `folder`, in place of the one before it, as one safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    told = {"format": FORMAT, "step": checkpoint.step, "sha256": _digest(tensors)}
    facts = json.dumps({**told, **checkpoint.facts})
    write_bytes(folder / CHECKPOINT, save(tensors, {"checkpoint": facts}))


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The checkpoint in `folder`, or None when there is none.

    Raises RefusedError when the file is damaged or of another format.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise RefusedError(f"{path} is not a checkpoint ({error})") from error
    if facts.pop("format") != FORMAT:
        raise RefusedError(f"{path} is not a checkpoint of format {FORMAT}")
    if facts.pop("sha256", "") not in ("", _digest(tensors)):  # older ones have none
        raise RefusedError(f"{path} was damaged: its tensors are not those that were saved")
    return Checkpoint(facts.pop("step"), tensors, facts)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of all tensors and their names, in hex."""
    told = "\n".join(f"{name} {tensor_sha256(tensor)}" for name, tensor in sorted(tensors.items()))
    return sha256(told.encode()).hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as name -> tensor; the names hold the parameter's place and the moment's name."""
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{place}.{name}": value for place, moments in state.items() for name, value in moments.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts the tensors of `optimizer_tensors` back, bit for bit."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `name/`, without that beginning."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
