"""The published checkpoints: the official constructor arguments and schedules, by name."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from hspace.errors import UsageError, not_found

FACTS = Path(__file__).with_name("published.json")


@cache
def published() -> dict[str, dict[str, Any]]:
    """The facts of every published model; `also` lists the further names that each goes by."""
    facts: dict[str, dict[str, Any]] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts


def like(name: str, family: str) -> dict[str, Any]:
    """The facts of the model of that name, file name, or file name without its suffix.

    Raises NotFoundError with the nearest names, UsageError when it is of another family.
    """
    names: dict[str, str] = {}
    for model, facts in published().items():
        for alias in (model, *facts["also"]):
            names |= {alias: model, alias.removesuffix(".pt").removesuffix(".ckpt"): model}
    if name not in names:
        raise not_found("published checkpoint", name, names, "Or give the constructor's arguments with --args.")
    found = published()[names[name]]
    if found["family"] != family:
        raise UsageError(f"{name} is of the family {found['family']}, not {family}")
    return found
