"""A training that can be killed at any time and goes on, with the same bits, when it is asked for again."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from hspace import Task
from hspace.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    part,
    restore_optimizer,
    save_checkpoint,
)
from hspace.errors import HspaceWarning, RefusedError
from hspace.fingerprint import probe
from hspace.plots import draw_losses
from hspace.processes import is_main
from hspace.storage import cache_folder, require_writable, tensor_sha256, write_bytes
from hspace_asyrp.trackers import Track, tracking
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
    Ctrl-C leaves a checkpoint of the last whole pass. A damaged checkpoint is told, and the training starts anew.
    Of several processes the main one writes. `start`, where there is anything to say of it, is the log's first line.
    A tracker is told of all passes, those before a kill among them.
    Raises HspaceError where the cache folder, in which checkpoints are kept, cannot be written.
    """
    folder = cache_folder() / "training" / _key(training, task, config)
    require_writable(folder)
    losses = _restore(training, folder)
    with tracking(tracker, config, task.folder or Path(), task.x_T.device.type == "cpu") as track:
        for index, loss in enumerate(losses):
            track(loss, index + 1)
        _go_on(training, folder, losses, report, track)
    if not is_main():
        return
    if task.folder is not None:
        _show(training, task.folder, losses, start)
    shutil.rmtree(folder, ignore_errors=True)


def _go_on(
    training: Training, folder: Path, losses: list[float], report: Callable[[int, int], None], track: Track
) -> None:
    """The passes that are not made yet; their losses are added to those there are."""
    last, saved_at = _checkpoint(training, losses), time.monotonic()
    try:
        for index in range(len(losses), training.passes):
            losses.append(training.run_pass(index))
            last = _checkpoint(training, losses)
            report(index + 1, training.passes)
            track(losses[-1], index + 1)
            if is_main() and time.monotonic() - saved_at > SAVE_EVERY:
                save_checkpoint(folder, last)
                saved_at = time.monotonic()
    except KeyboardInterrupt as interrupt:
        if is_main():
            save_checkpoint(folder, last)
        told = f"the training stopped after {last.step} of {training.passes} passes; the same call goes on from there"
        raise KeyboardInterrupt(told) from interrupt


def _restore(training: Training, folder: Path) -> list[float]:
    try:
        checkpoint = load_checkpoint(folder)
    except RefusedError as error:
        warnings.warn(f"the training starts anew: {error}", HspaceWarning, stacklevel=3)
        return []
    if checkpoint is None:
        return []
    training.head.load_state_dict(part(checkpoint.tensors, "head"))
    restore_optimizer(training.optimizer, part(checkpoint.tensors, "optimizer"))
    losses: list[float] = checkpoint.facts["losses"]
    return losses


def _checkpoint(training: Training, losses: list[float]) -> Checkpoint:
    """All that the next pass reads, as it is now."""
    parts = {"head": training.head.state_dict(), "optimizer": optimizer_tensors(training.optimizer)}
    tensors = {f"{name}/{key}": value.clone() for name, part in parts.items() for key, value in part.items()}
    return Checkpoint(len(losses), tensors, {"losses": list(losses)})


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
        "tensors": {name: tensor_sha256(tensor) for name, tensor in {**weights, "x_T": task.x_T}.items()},
    }
    return sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]
