"""Labels of pictures: a number for each, read from a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from hspace.errors import NotFoundError, RefusedError, UsageError

FILE_NAME = "file_name"
"""The column with the names of the pictures; where there is none, it is the first."""
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True)
class Labels:
    """What a table says: the column that was read, and its number by the name of a picture's file."""

    attribute: str
    by_name: Mapping[str, float]
    path: Path

    def of(self, pictures: Sequence[Path]) -> Tensor:
        """The labels (N,) of picture files, by the last part of their paths.

        Raises UsageError where one has no label, or two have one name.
        """
        names = [path.name for path in pictures]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"two pictures are called {twice}, so {self.path} does not tell their labels apart")
        missing = [name for name in names if name not in self.by_name]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UsageError(f"{self.path} has no label for {len(missing)} of {len(names)} pictures: {some}")
        return torch.tensor([self.by_name[name] for name in names], dtype=torch.float64)


def read_labels(path: Path, attribute: str | None = None) -> Labels:
    """The labels in a CSV file with a header, such as a `metadata.csv` with the columns file_name and smiling.

    `attribute` names the column, which need not be said where there is one beside the names. A label is a number, or
    yes, no, true or false; one that is left empty is none. Raises NotFoundError where there is no file, RefusedError
    for one that is not such a table, UsageError where the column is not there or not said.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{path} is no CSV file: {error}") from error
    if not rows:
        raise RefusedError(f"{path} is no table of labels: it needs a header, as '{FILE_NAME},smiling', and rows")
    columns = [column for column in rows[0] if column is not None]
    names = FILE_NAME if FILE_NAME in columns else columns[0]
    attribute = _column(path, [column for column in columns if column != names], attribute)
    by_name: dict[str, float] = {}
    for line, row in enumerate(rows, start=2):
        name, value = PurePosixPath((row[names] or "").replace("\\", "/")).name, (row[attribute] or "").strip()
        if value:
            if name in by_name:
                raise UsageError(f"{path}, row {line}: there is a label for {name} already")
            by_name[name] = _number(path, line, value)
    return Labels(attribute, by_name, path)


def labels_for(file: Path | None, attribute: str | None, images: Sequence[Path], source: str | None) -> Labels | None:
    """The labels in a file, each picture having one; None where the source is to know them, or nobody asks.

    Raises UsageError for labels without pictures, and as `read_labels` and `Labels.of` do.
    """
    if file is None:
        if attribute is not None and source is None:
            raise UsageError(
                f"attribute {attribute!r} is a column of a table of labels, or what a source knows of its pictures; "
                f"give --labels and --images, or --source"
            )
        return None
    if not images:
        raise UsageError(f"{file} names the pictures of files; give them with --images")
    known = read_labels(file, attribute)
    known.of(images)
    return known


def _column(path: Path, columns: Sequence[str], attribute: str | None) -> str:
    if attribute is None and len(columns) == 1:
        return columns[0]
    told = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "") or "none"
    if attribute is None:
        raise UsageError(f"{path} has the labels {told}; say which one with --attribute")
    if attribute not in columns:
        raise UsageError(f"{path} has no label {attribute!r}; it has {told}")
    return attribute


def _number(path: Path, line: int, value: str) -> float:
    try:
        number = WORDS[value.lower()] if value.lower() in WORDS else float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{path}, row {line}: a label is a number, yes or no; {value!r} is none")
    return number
