"""A training that can be killed at any time and goes on, with the same bits, when it is asked for again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace import Task
from hspace.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    part,
    restore_optimizer,
    save_checkpoint,
)
from hspace.fingerprint import probe
from hspace.plots import draw_losses
from hspace.processes import is_main
from hspace.storage import cache_folder, write_bytes
from hspace_asyrp.trackers import tracking
from hspace_asyrp.training import Training

SAVE_EVERY = 20.0


def run(
    training: Training,
    task: Task,
    config: Mapping[str, Any],
    report: Callable[[int, int], None],
    start: Mapping[str, Any],
    tracker: str | None = None,
) -> None:
    """Trains to the end, from the last checkpoint of the same training where there is one.

    What there is to show, `loss.png` and `log.jsonl`, goes to the task's folder. The checkpoint is dropped at the end.
    Of several processes the main one writes. `start`, where there is anything to say of it, is the log's first line.
    A tracker is told of all passes, those before a kill among them.
    """
    folder = cache_folder() / "training" / _key(training, task, config)
    losses = _restore(training, folder)
    saved_at = time.monotonic()
    with tracking(tracker, config, task.folder or Path(), task.x_T.device.type == "cpu") as track:
        for index, loss in enumerate(losses):
            track(loss, index + 1)
        for index in range(len(losses), training.passes):
            losses.append(training.run_pass(index))
            report(index + 1, training.passes)
            track(losses[-1], index + 1)
            if is_main() and time.monotonic() - saved_at > SAVE_EVERY:
                _save(training, folder, losses)
                saved_at = time.monotonic()
    if not is_main():
        return
    if task.folder is not None:
        _show(training, task.folder, losses, start)
    shutil.rmtree(folder, ignore_errors=True)


def _restore(training: Training, folder: Path) -> list[float]:
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return []
    training.head.load_state_dict(part(checkpoint.tensors, "head"))
    restore_optimizer(training.optimizer, part(checkpoint.tensors, "optimizer"))
    losses: list[float] = checkpoint.facts["losses"]
    return losses


def _save(training: Training, folder: Path, losses: list[float]) -> None:
    parts = {"head": training.head.state_dict(), "optimizer": optimizer_tensors(training.optimizer)}
    tensors = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder, Checkpoint(len(losses), tensors, {"losses": losses}))


def _show(training: Training, folder: Path, losses: list[float], start: Mapping[str, Any]) -> None:
    seen = accumulate(len(batch) / training.places for batch in training.batches)
    lines = [{"images": 0.0, **start}] if start else []
    lines += [{"images": round(n, 3), "loss": loss} for n, loss in zip(seen, losses, strict=True)]
    write_bytes(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    draw_losses(lines, folder / "loss.png")


def _key(training: Training, task: Task, config: Mapping[str, Any]) -> str:
    """A name for all that the training depends on."""
    weights = {f"head/{name}": tensor for name, tensor in training.head.state_dict().items()}
    told = {
        "config": dict(config),
        "prompts": task.prompts,
        "encoder": task.encoder.digest,
        "identity": None if training.identity is None else training.identity.encoder.digest,
        "fingerprint": probe(training.backbone).fingerprint,
        "timesteps": training.window.timesteps,
        "seed": task.seed,
        "device": str(task.x_T.device),
        "torch": torch.__version__,
        "processes": training.processes.count,
        "tensors": {name: _digest(tensor) for name, tensor in {**weights, "x_T": task.x_T}.items()},
    }
    return sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()
