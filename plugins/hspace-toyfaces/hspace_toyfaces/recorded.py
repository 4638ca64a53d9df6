"""Measures of a direction, written into its own description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from hspace import Direction, registry
from hspace.meta import Measurement

from .measuring_directions import Measured, Measures

MEASURES = tuple(one.name for one in fields(Measures) if one.name not in ("strength", "n"))


def record(name: str, direction: Direction, measured: Sequence[Measured]) -> Direction:
    """The direction with the measures among its metrics, stored where it is from: its folder, or the registry.

    Each is called `<target>.<measure>@<strength>` and takes the place of an older one of that name; what could not be
    measured is left away. One of a zoo is stored among the user's own.
    """
    new = [
        Measurement(
            name=f"{one.target}.{measure}@{row.strength:g}",
            value=value,
            n=row.n,
            protocol=one.protocol,
            component=registry.split_id(one.direction)[1],
        )
        for one in measured
        for row in one.rows
        for measure in MEASURES
        if (value := getattr(row, measure)) is not None
    ]
    names = {(one.name, one.component) for one in new}
    kept = [one for one in direction.meta.metrics if (one.name, one.component) not in names]
    whole = replace(direction, meta=direction.meta.model_copy(update={"metrics": (*kept, *new)}), component=None)
    return registry.put_back(name, whole)
