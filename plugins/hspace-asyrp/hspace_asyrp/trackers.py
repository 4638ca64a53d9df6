"""Trackers of experiments, by the names that accelerate knows them by; none is installed with hspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hspace.errors import UsageError, not_found
from hspace.processes import is_main

PROJECT = "hspace"
Track = Callable[[float, int], None]
"""Called with the loss of a pass, and how many passes were made."""


def require_tracker(name: str) -> None:
    """Raises NotFoundError for a tracker that accelerate does not know, UsageError where its package is missing."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    if name not in LOGGER_TYPE_TO_CLASS:
        raise not_found("tracker", name, map(str, LOGGER_TYPE_TO_CLASS), "These are the trackers of accelerate.")
    built_in = name in [one.value for one in LoggerType]
    if built_in and name not in [str(one) for one in get_available_trackers()]:
        package = name.replace("_", "-")
        raise UsageError(f"tracker {name!r} needs the package {package}, which is not installed: pip install {package}")


@contextmanager
def tracking(name: str | None, config: Mapping[str, Any], folder: Path, cpu: bool) -> Iterator[Track]:
    """What the main process tells of its passes goes to the tracker, and what it leaves on the disk to `folder`."""
    if name is None or not is_main():
        yield lambda loss, step: None
        return
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=cpu, log_with=name, project_dir=folder)
    plain = {key: value if isinstance(value, int | float) else str(value) for key, value in config.items()}
    accelerator.init_trackers(PROJECT, config=plain)
    try:
        yield lambda loss, step: accelerator.log({"loss": loss}, step=step)
    finally:
        for one in accelerator.trackers:
            one.finish()
