"""The registry: where directions live, read from their JSON alone."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from platformdirs import user_data_path

from hspace.errors import HspaceError, UsageError, not_found
from hspace.plugins import plugins

if TYPE_CHECKING:
    from hspace.direction import Direction
    from hspace.meta import Meta

DIRECTIONS = "directions"


def home() -> Path:
    """The user's own folder: `HSPACE_HOME`, or the platform's place for user data."""
    named = os.environ.get("HSPACE_HOME")
    return Path(named) if named else user_data_path("hspace", appauthor=False)


def roots() -> list[tuple[str, Path]]:
    """(owner, folder) of every place directions are looked for: the user's own first, then each plugin's zoo."""
    zoos = [(plugin, zoo / DIRECTIONS) for plugin, zoo in plugins().zoos]
    return [("user", home() / DIRECTIONS), *zoos]


@dataclass(frozen=True)
class Entry:
    """A direction in the registry: its id, whose it is, and its folder."""

    id: str
    owner: str
    folder: Path

    def meta(self) -> "Meta":
        """Its description. Raises RefusedError when it is damaged."""
        from hspace.meta import read_meta

        return read_meta(self.folder)


def entries() -> Iterator[Entry]:
    """Every direction by its place in the registry, sound or not; of two with one id, the user's own comes first."""
    seen: set[str] = set()
    for owner, root in roots():
        for path in sorted(root.glob("*/*/direction.json")):
            id = f"{path.parent.parent.name}/{path.parent.name}"
            if id not in seen:
                seen.add(id)
                yield Entry(id, owner, path.parent)


def split_id(name: str) -> tuple[str, int | None]:
    """The id and the component of `<id>` or `<id>#k`. Raises UsageError when k is not a number."""
    id, mark, component = name.partition("#")
    if mark and not re.fullmatch(r"\d+", component):
        raise UsageError(f"{name!r}: the part after '#' picks a component by number, as in {id}#0")
    return id, int(component) if mark else None


def find(id: str) -> Entry:
    """The registry's entry of that id. Raises NotFoundError with the nearest ids."""
    known = {entry.id: entry for entry in entries()}
    if id not in known:
        raise not_found("direction", id, known, "See 'hspace list-directions', or make one with 'hspace discover'.")
    return known[id]


def add(direction: "Direction") -> Entry:
    """Stores a direction among the user's own, in place of one with the same id; returns its entry.

    Writers take turns through a lock; a kill leaves the old direction or the new one. Raises HspaceError when
    the folder cannot be written.
    """
    folder = home() / DIRECTIONS / direction.meta.id
    try:
        home().mkdir(parents=True, exist_ok=True)
        with FileLock(home() / "registry.lock"):
            direction.save(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"could not write to the registry {home()}: {reason}. Set HSPACE_HOME to another folder."
        raise HspaceError(message) from error
    return Entry(direction.meta.id, "user", folder)


def put_back(name: str, direction: "Direction") -> "Direction":
    """Stores a direction where `name` finds it: in that folder, or among the user's own; returns it as it was stored.

    One of a zoo is thereby copied. Raises as `add` does.
    """
    from hspace.meta import META_FILE

    folder = Path(split_id(name)[0])
    if (folder / META_FILE).is_file():
        return direction.save(folder)
    add(direction)
    return direction
