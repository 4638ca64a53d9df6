"""A stream run through its metrics: batch by batch, shared among processes, kept so that a stopped run goes on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from hspace import processes
from hspace.errors import HspaceError, HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.evaluation.streams import Stream, Subject
from hspace.metric import Batch, Metric
from hspace.sampling import Callback
from hspace.storage import read_tensors, require_writable, write_tensors

KEEP_EVERY = 30.0
"""Seconds after which what was measured is kept: at most so much work is lost."""
KEY, DONE = "key", "done"

Metrics = Sequence[Mapping[str, Metric]]
"""By subject, then by name."""


def measured(
    stream: Stream,
    metrics: Metrics,
    *,
    batch: int,
    key: str,
    out: Path | None,
    watch: Callable[[Subject, Batch], None] | None = None,
    callback: Callback | None = None,
) -> bool:
    """Runs the stream through the metrics, which then know all of it; false in all processes but the main one.

    `key` stands for all that the numbers depend on. With `out`, the state of the metrics is kept in a file there, at
    most KEEP_EVERY seconds apart, and read again by a call of the same key and as many processes. Batches are dealt
    out to the processes, which need `out` to bring their parts together. Raises UsageError where they have none.
    """
    count, rank = processes.count(), processes.rank()
    if out is None and count > 1:
        raise UsageError(f"{count} processes bring their parts together in a folder; give one with out")
    if out is not None:
        require_writable(out)
    path = out / f"state-{rank}-of-{count}.safetensors" if out is not None else None
    mine = list(range(rank * batch, len(stream.names), batch * count))
    done = min(_read(path, key, batch, metrics), len(mine)) if path is not None else 0
    last, n = time.monotonic(), len(stream.names)
    for number, start in list(enumerate(mine, start=1))[done:]:
        stop = min(start + batch, n)
        try:
            for subject, some, one in zip(stream.subjects, metrics, stream.at(start, stop), strict=True):
                for name, metric in some.items():
                    _update(name, metric, one)
                if watch is not None:
                    watch(subject, one)
        except KeyboardInterrupt as interrupt:
            told = f"{min(done * batch * count, n)} of {n} pictures are measured and kept"
            raise KeyboardInterrupt(f"{told}; the same call goes on from there" if path else "") from interrupt
        if path is not None and (time.monotonic() - last >= KEEP_EVERY or number == len(mine)):
            _keep(path, key, batch, number, metrics)
            last, done = time.monotonic(), number
        if callback is not None:
            callback(min(stop + (count - 1) * batch, n), n)
    if noticed := stream.noticed():
        warnings.warn(noticed, HspaceWarning, stacklevel=2)
    processes.wait_for_all()
    if rank:
        return False
    for other in range(1, count):
        assert out is not None
        _read(out / f"state-{other}-of-{count}.safetensors", key, batch, metrics)
    return True


def _update(name: str, metric: Metric, batch: Batch) -> None:
    """Gives a metric a batch; what a plugin's code raises that is not ours becomes an error that names the metric."""
    try:
        metric.update(batch)
    except HspaceError:
        raise
    except Exception as error:
        raise HspaceError(f"metric {name!r} failed on a batch: {type(error).__name__}: {error}") from error


def _keep(path: Path, key: str, batch: int, done: int, metrics: Metrics) -> None:
    state = {KEY: _key(key, batch), DONE: torch.tensor(done)}
    for number, some in enumerate(metrics):
        for name, metric in some.items():
            state |= {f"{number}/{name}/{part}": tensor for part, tensor in metric.state().items()}
    write_tensors(path, state)


def _read(path: Path, key: str, batch: int, metrics: Metrics) -> int:
    """Gives the metrics the state in a file, and says how many batches it knows; 0 where it is of another key."""
    found: dict[str, Tensor] = {}
    with suppress(NotFoundError):
        try:
            found = read_tensors(path, finite=False)
        except RefusedError as error:
            warnings.warn(f"{error}; what it kept is measured again", HspaceWarning, stacklevel=2)
    if not found or not torch.equal(found.get(KEY, torch.empty(0)), _key(key, batch)):
        return 0
    for number, some in enumerate(metrics):
        for name, metric in some.items():
            prefix = f"{number}/{name}/"
            metric.merge({part[len(prefix) :]: one for part, one in found.items() if part.startswith(prefix)})
    return int(found[DONE])


def _key(key: str, batch: int) -> Tensor:
    return torch.tensor(list(f"{key} {batch}".encode()), dtype=torch.uint8)
