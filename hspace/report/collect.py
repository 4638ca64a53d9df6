"""What a run left in its folder, read with suspicion."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hspace.errors import NotFoundError, RefusedError
from hspace.images import SUFFIXES, open_image, read_note
from hspace.report.curves import Curve, curves
from hspace.report.tables import Table, cell, flat, tables

MOST_BYTES = 32 * 2**20
"""How much of pictures a page carries; those beyond are named."""
SHEET_WIDTH = 260
"""From how wide on a picture without a recipe takes the whole width of the page."""
TYPES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
DATA = (".json", ".jsonl", ".toml")


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, its size in pixels, and what its recipe, where it carries one, says of it alone."""

    name: str
    uri: str
    width: int
    height: int
    caption: str
    sheet: bool


@dataclass(frozen=True)
class Content:
    """What there is to show: sheets and pictures, curves by file, tables, and files that are only named."""

    sheets: tuple[Picture, ...]
    pictures: tuple[Picture, ...]
    curves: tuple[tuple[str, tuple[Curve, ...]], ...]
    tables: tuple[Table, ...]
    others: tuple[tuple[str, int], ...]


def collect(folder: Path, without: Path) -> Content:
    """All that a folder and those below it hold, but the file `without` and hidden ones.

    Raises NotFoundError where there is no folder, or nothing in it to show; RefusedError, with the file and the place
    in it, for JSON or TOML that is broken and for a damaged picture.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise NotFoundError(f"there is no folder {folder}, but {found}; give the folder that a run wrote with --out")
    paths = [
        path for path in sorted(folder.rglob("*")) if _counts(path, folder) and path.resolve() != without.resolve()
    ]
    images = [path for path in paths if path.suffix.lower() in TYPES]
    data = [path for path in paths if path.suffix in DATA]
    if not images and not data:
        raise NotFoundError(
            f"{folder} holds nothing to report on: no picture ({', '.join(SUFFIXES)}) and no {', '.join(DATA)}. "
            f"Give the folder that a run wrote with --out."
        )
    shown = _within(images)
    pictures, settings = _pictures(shown, folder)
    drawn, told = _data(data, folder)
    others = [path for path in paths if path not in data and path not in shown]
    return Content(
        tuple(one for one in pictures if one.sheet),
        tuple(one for one in pictures if not one.sheet),
        tuple(drawn),
        (*told, *settings),
        tuple((_name(path, folder), path.stat().st_size) for path in others),
    )


def _counts(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder).parts
    return path.is_file() and not any(part.startswith(".") for part in inside)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _within(images: Sequence[Path]) -> list[Path]:
    """The pictures that there is room for, in order."""
    room, shown = MOST_BYTES, []
    for path in images:
        room -= path.stat().st_size
        if room >= 0:
            shown.append(path)
    return shown


def _pictures(paths: Sequence[Path], folder: Path) -> tuple[list[Picture], list[Table]]:
    """The pictures; and of those that carry a recipe a table of what all their recipes say."""
    recipes = {path: _recipe(path) for path in paths}
    made = [recipe for recipe in recipes.values() if recipe]
    shared = {
        key: value for key, value in (made[0] if made else {}).items() if all(one.get(key) == value for one in made)
    }
    pictures = []
    for path in paths:
        width, height = open_image(path).size
        own = {key: value for key, value in recipes[path].items() if key not in shared and not key.endswith("sha256")}
        uri = f"data:image/{TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        sheet = not recipes[path] and width >= SHEET_WIDTH
        caption = ", ".join(f"{key} {cell(value)}" for key, value in own.items())
        pictures.append(Picture(_name(path, folder), uri, width, height, caption, sheet))
    return pictures, tables(shared, "recipe of the pictures") if shared else []


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe that a picture carries, flat, each direction's values by its id; empty for one without."""
    try:
        recipe = json.loads(read_note(path) or "{}")
    except ValueError:
        return {}  # a sheet says so in a word
    if not isinstance(recipe, dict):
        return {}
    edits = recipe.pop("directions", [])
    by_id = {one.get("id", "direction"): {key: value for key, value in one.items() if key != "id"} for one in edits}
    return {**dict(flat(recipe)), **{f"{id} {key}": value for id, one in by_id.items() for key, value in one.items()}}


def _data(paths: Sequence[Path], folder: Path) -> tuple[list[tuple[str, tuple[Curve, ...]]], list[Table]]:
    drawn, told = [], []
    for path in paths:
        name = _name(path, folder)
        if path.suffix == ".jsonl":
            lines = list(_lines(path))
            found = curves(lines)
            if found:
                drawn.append((name, tuple(found)))
            else:
                told += tables(lines, name)
        else:
            told += tables(_read(path), name)
    return drawn, told


def _read(path: Path) -> Any:
    """The value in a JSON or TOML file."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, not TOML, or nested without end
        kind = path.suffix[1:].upper()
        raise RefusedError(f"{path} is not {kind}: {error}. Run what wrote it again, or remove it.") from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file of JSON lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except ValueError as error:
        raise RefusedError(f"{path} is not UTF-8: {error}. Run what wrote it again, or remove it.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            one = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RefusedError(
                f"{path}, line {number}, is not JSON: {error}. Run what wrote it again, or remove it."
            ) from error
        if not isinstance(one, dict):
            raise RefusedError(f"{path}, line {number}, is no JSON object. Run what wrote it again, or remove it.")
        yield one
