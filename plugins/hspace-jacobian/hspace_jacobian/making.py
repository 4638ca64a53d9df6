"""From rows to a direction: kept apart from others, given a unit of strength, measured and tied to its backbone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hspace import Backbone, Direction, Task
from hspace.building import build_head
from hspace.calibration import CHANGE, STEPS, units
from hspace.errors import HspaceWarning, UsageError
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace_jacobian.against import NOTHING, PROBES, without
from hspace_jacobian.rows import Rows
from hspace_jacobian.walking import Window

UNIT = f"strength 1 changes pictures in [-1, 1] by {CHANGE} root mean square"


@dataclass(frozen=True)
class Find:
    """What a finder found, before it has a length: `rows`, and what was measured of each component.

    `longest` bounds |delta_h| at strength 1, and pictures of the first `probes` latents are looked at to choose it.
    `unit` says what one length of the rows is, where strength 1 is worth telling in it.
    """

    what: str
    rows: Rows
    longest: float
    metrics: tuple[Measurement, ...]
    config: Mapping[str, Any]
    source: str
    scope: Scope = field(default_factory=lambda: Scope(kind="global"))
    probes: int = 4
    unit: str | None = None
    labels: tuple[str, ...] = ()
    prompts: tuple[str, str] | None = None


def made(
    backbone: Backbone, task: Task, find: Find, *, finder: str, window: Window, against: Sequence[Direction] = ()
) -> Direction:
    """The direction, or basis: a table applied at all timesteps of the window.

    Components of which nothing is left beside those in `against` are left out, with a warning. Raises UsageError where
    none is left, RefusedError where one of those is of another backbone.
    """
    if against:
        find = _apart(backbone, task, find, against, window)
    rows = find.rows.vectors
    raw = rows.flatten(2).norm(dim=2).amax(dim=1)  # (k,) |delta_h| at the timestep where it is largest
    rows = rows / raw.reshape(-1, 1, 1, 1, 1)
    lengths = torch.tensor(_lengths(backbone, task, replace(find.rows, vectors=rows), find, window))
    metrics = list(find.metrics)
    if find.unit is not None:
        n = min(find.probes, len(task.x_T))
        metrics += measured("unit", (lengths / raw).tolist(), n, f"strength 1 in {find.unit}; {UNIT}")
    if len(rows) == 1:  # no basis, so no component to name
        metrics = [one.model_copy(update={"component": None}) for one in metrics]
    return Direction.bind(
        backbone,
        what=find.what,
        finder=finder,
        head="table",
        config={"timesteps": list(find.rows.timesteps), "components": len(rows)},
        weights={"vectors": (rows * lengths.reshape(-1, 1, 1, 1, 1)).float().contiguous()},
        steps=task.steps,
        t_edit=window.t_edit,
        t_start=window.t_start,
        strength=Strength(default=1, min=-2, max=2),
        scope=find.scope,
        labels=find.labels,
        prompts=find.prompts,
        metrics=tuple(metrics),
        provenance=Provenance(
            finder=finder, config={**find.config, "unit": UNIT}, source=find.source, data=task.data or None
        ),
    )


def measured(name: str, values: Sequence[float], n: int, protocol: str) -> list[Measurement]:
    """A measurement of each component."""
    return [
        Measurement(name=name, value=value, n=n, protocol=protocol, component=component)
        for component, value in enumerate(values)
    ]


def _apart(backbone: Backbone, task: Task, find: Find, against: Sequence[Direction], window: Window) -> Find:
    """The find without what it has in common with other directions."""
    rows, left = without(backbone, task, find.rows, against, window)
    names = ", ".join(one.id for one in against)
    kept = [component for component, share in enumerate(left.tolist()) if share > NOTHING]
    if not kept:
        raise UsageError(f"nothing is left of {find.what!r} beside {names}: it does what they do; leave some away")
    gone = [component for component in range(len(left)) if component not in kept]
    if gone:
        lost = ", ".join(f"#{component}" for component in gone)
        warnings.warn(f"nothing is left of {find.what}{lost} beside {names}; left out", HspaceWarning, stacklevel=2)
    metrics = [
        one.model_copy(update={"component": kept.index(one.component)}) for one in find.metrics if one.component in kept
    ]
    told = f"share of the length, over the window, that is outside the span of {names}"
    metrics += measured("retained", left[kept].tolist(), min(PROBES, len(task.x_T)), told)
    config = {**find.config, "against": [one.id for one in against]}
    return replace(find, rows=Rows(rows.vectors[kept], rows.timesteps), metrics=tuple(metrics), config=config)


def _lengths(backbone: Backbone, task: Task, rows: Rows, find: Find, window: Window) -> list[float]:
    """How long each component must be to be the unit of strength."""
    config = {"timesteps": list(rows.timesteps)}
    heads = [build_head(backbone, "table", config, {"vectors": vectors[None].float()}) for vectors in rows.vectors]
    window.timesteps(backbone, STEPS)  # a probe takes other steps, and one of them must be in the window
    return units(
        backbone, heads, task.x_T[: find.probes], t_edit=window.t_edit, t_start=window.t_start,
        steps_found=task.steps, longest=find.longest,
    )  # fmt: skip


def mean_length(h: Tensor) -> float:
    """The root mean square over latents of |h|, for h (N, Ch, Hh, Wh)."""
    return float(h.detach().double().flatten(1).square().sum(dim=1).mean().sqrt())
