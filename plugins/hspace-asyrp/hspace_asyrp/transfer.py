"""Starting from the head of another direction instead of an untrained one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hspace import Backbone, Direction, Head
from hspace.building import build_head
from hspace.errors import RefusedError
from hspace.settings import setting
from hspace_asyrp.training import Training


def transferred(
    init: Direction, backbone: Backbone, name: str, asked: Mapping[str, Any], offered: Mapping[str, Any]
) -> tuple[Head, dict[str, Any]]:
    """The head of a direction as its training left it, without its unit of strength, and its config.

    `name` and `asked` are the head and the settings that are to be trained, `offered` what the window would give it.
    Raises RefusedError, saying what to ask for instead, where that is another head, or the direction is of another
    backbone, or a basis.
    """
    init.check(backbone)
    home, head = init.meta, init.meta.require_head()
    config = dict(head.config)
    if home.components > 1:
        raise RefusedError(f"{home.id!r} is a basis of {home.components} directions, not a head to start from")
    if head.name != name:
        raise RefusedError(
            f"{home.id!r} has the head {head.name!r}, and {name!r} is to be trained. Add --head {head.name}, "
            f"or start without --init."
        )
    for key, value in asked.items():
        has = config.get(key, setting("heads", name, key))
        if json.dumps(has) != json.dumps(value):
            raise RefusedError(f"the head of {home.id!r} has {key}={has}; {key}={value} was asked for")
    rows, window = config.get("timesteps"), offered.get("timesteps")
    if rows is not None and window is not None and list(rows) != list(window):
        start = "" if home.t_start is None else f" --set t_start={home.t_start}"
        raise RefusedError(
            f"the head of {home.id!r} has rows for {_told(rows)}, and the window has {_told(window)}. Train in its "
            f"window: --set t_edit={home.t_edit}{start} --steps {home.steps}"
        )
    return build_head(backbone, name, config, init.weights), config


def saving(init: Direction | None, training: Training, fresh: Head | None) -> dict[str, Any]:
    """What the start from a direction is worth: the loss of the first batch with it, and with the `fresh` head."""
    if init is None or fresh is None:
        return {}
    return {"loss": training.loss_of(training.head), "loss_without_init": training.loss_of(fresh), "init": init.id}


def _told(timesteps: Any) -> str:
    return f"{len(timesteps)} timesteps from {min(timesteps):g} to {max(timesteps):g}"
