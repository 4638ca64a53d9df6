"""Any JSON as tables: its settings by dotted names, and a table for each list of things of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "-"
SHOWN = 16
"""How many values of a list a cell has room for."""


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, the rows of texts, and which columns hold numbers alone."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


def tables(content: Any, title: str) -> list[Table]:
    """All of a JSON value: a table for each list, or mapping, of objects in it, and one of all else, the settings."""
    found = []
    for name, rows in _lists(content):
        columns = list(dict.fromkeys(column for row in rows for column in row))
        told = f"{title}: {name}" if name else title
        found.append(_table(told, tuple(columns), [tuple(row.get(one) for one in columns) for row in rows]))
    settings = dict(flat(content))
    return [*found, _table(title, ("setting", "value"), list(settings.items()))] if settings else found


def flat(content: Any, name: str = "", in_row: bool = False) -> Iterator[tuple[str, Any]]:
    """Whatever has no table of its own: (dotted name, number, text, or several of them).

    Lists of objects have one, and mappings of objects of one kind, which in the row of a table become columns.
    """
    if _objects(content) and in_row and len(content) == 1:
        content = content[0]
    if isinstance(content, Mapping) and not _many(content):
        if in_row or not _alike(content):
            for key, value in content.items():
                yield from flat(value, f"{name}.{key}" if name else str(key), in_row)
    elif not _objects(content):
        yield name, content


def cell(value: Any) -> str:
    """A value as a table shows it: numbers to four digits, what nobody knows as a dash."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        value = [f"{key} {cell(one)}" for key, one in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = f", … {len(value)} in all" if len(value) > SHOWN else ""
        return (", ".join(cell(one) for one in value[:SHOWN]) or UNKNOWN) + more
    return str(value)


def _lists(content: Any, name: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if _objects(content) or _alike(content):
        named = list(content.items()) if isinstance(content, Mapping) else [("", one) for one in content]
        yield name, [({"": key} if key else {}) | dict(flat(one, in_row=True)) for key, one in named]
        for index, (key, one) in enumerate(named):
            for inner, rows in _lists(one):
                if len(rows) > 1 and not _alike(one.get(inner, {})):
                    yield f"{name}.{key or _named(one, index)}.{inner}".lstrip("."), rows
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _lists(value, f"{name}.{key}" if name else str(key))


def _named(one: Mapping[str, Any], index: int) -> str:
    return str(next((one[key] for key in ("name", "id", "direction") if key in one), index))


def _objects(content: Any) -> bool:
    """Whether it is a list of objects."""
    return isinstance(content, list) and bool(content) and all(isinstance(one, Mapping) for one in content)


def _alike(content: Any) -> bool:
    """Whether it maps names to objects of one kind, with the same keys."""
    if not isinstance(content, Mapping):
        return False
    kinds = {tuple(one) if isinstance(one, Mapping) and one else None for one in content.values()}
    return len(content) > 1 and len(kinds) == 1 and None not in kinds


def _many(content: Mapping[str, Any]) -> bool:
    """Whether it is a number for each of many things, such as pictures: one cell, not as many settings."""
    return len(content) > SHOWN and not any(isinstance(one, Mapping | list) for one in content.values())


def _table(title: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> Table:
    numeric = tuple(
        all(isinstance(row[at], int | float | None) for row in rows) and any(row[at] is not None for row in rows)
        for at in range(len(columns))
    )
    return Table(title, columns, tuple(tuple(cell(value) for value in row) for row in rows), numeric)
