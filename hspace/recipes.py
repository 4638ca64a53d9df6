"""Recipes: TOML files that say how something was made, in `recipes/` of a zoo or in folders below it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hspace.errors import RefusedError, UsageError, not_found
from hspace.plugins import plugins

RECIPES = "recipes"


@dataclass(frozen=True)
class Recipe:
    """A recipe: its name (that of its file), whose zoo it is in, and its path."""

    name: str
    plugin: str
    path: Path

    def content(self) -> dict[str, Any]:
        """What it says; `kind` tells who reads it. Raises RefusedError when it is not TOML, or has no kind."""
        try:
            content = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RefusedError(f"{self.path} is not TOML: {error}") from error
        if not isinstance(content.get("kind"), str):
            raise RefusedError(f"{self.path} does not say its kind, so it is no recipe")
        return content


def recipes() -> Iterator[Recipe]:
    """The recipes of all installed zoos, those in the top folder of each first."""
    for plugin, zoo in plugins().zoos:
        for path in sorted((zoo / RECIPES).rglob("*.toml"), key=lambda path: (len(path.parts), path)):
            yield Recipe(path.stem, plugin, path)


def find(name: str) -> Recipe:
    """The recipe of that name, or in that file.

    Raises NotFoundError with the nearest names, UsageError when several have the name.
    """
    if Path(name).suffix == ".toml" and Path(name).is_file():
        return Recipe(Path(name).stem, "user", Path(name))
    known = list(recipes())
    same = [one for one in known if one.name == name]
    if not same:
        way_out = "See 'hspace recipes list', or give the path of a .toml file."
        raise not_found("recipe", name, {one.name for one in known}, way_out)
    if len(same) > 1:
        paths = ", ".join(str(one.path) for one in same)
        raise UsageError(f"{len(same)} recipes are called {name!r}; give the path of one: {paths}")
    return same[0]
