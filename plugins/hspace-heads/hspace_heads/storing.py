"""Storing what was distilled: in the registry, with a sheet that shows it below the original."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from hspace import Backbone, Direction, registry
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.images import save_picture
from hspace.sheets import PREVIEW, SHEET_IMAGES, draw_sheet
from hspace_heads.distill import new_id


def require_free(original: Direction, form: str, name: str | None) -> None:
    """Raises UsageError for a name that is none, RefusedError when the id is taken by what came from another direction.

    What was distilled from the same direction before may be replaced.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    id = new_id(original, form, name)
    try:
        taken = registry.find(id).meta().provenance.source
    except NotFoundError:
        return
    if taken != original.id:
        raise RefusedError(f"{id!r} is there already, distilled from {taken!r}; give another --name")


def store(
    backbone: Backbone,
    original: Direction,
    distilled: Direction,
    x_T: Tensor,
    out: Path,
    callback: Callable[[int, int], None],
) -> tuple[Direction, Path]:
    """The direction as stored, signed with date and version, and its sheet in `out`, drawn on x_T (n, C, H, W)."""
    now = datetime.now(UTC).date().isoformat()
    provenance = distilled.meta.provenance.model_copy(update={"hspace": version("hspace"), "date": now})
    signed = replace(distilled, meta=distilled.meta.model_copy(update={"provenance": provenance}))
    entry = registry.add(signed)
    sheet = draw_sheet(backbone, [original, signed], x_T[:SHEET_IMAGES], callback)
    path = out / f"{signed.meta.id.replace('/', '.')}.png"
    for place in (entry.folder / PREVIEW, path):
        save_picture(place, sheet)
    return Direction.load(entry.folder), path
