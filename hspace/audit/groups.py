"""Groups of pictures: by a file of labels, or by an attribute that a source knows of its pictures."""

from __future__ import annotations

import csv
import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from hspace.errors import HspaceWarning, NotFoundError, RefusedError, UsageError

LEAST = 2
"""How many pictures of each group an audit needs at least."""


def read_labels(path: Path) -> dict[str, str]:
    """File name -> group, of a CSV file with a header and two columns: the file's name, and its group.

    Raises NotFoundError when it is not there, RefusedError when it is no such file, or names a file twice.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise RefusedError(f"{path} is not CSV: {error}") from error
    labels: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise RefusedError(
                f"{path}, line {number}: a file's name and its group should stand there; {row} was found"
            )
        name, group = (cell.strip() for cell in row)
        if name in labels:
            raise RefusedError(f"{path}, line {number}: {name} stands there twice")
        labels[name] = group
    if not labels:
        raise RefusedError(f"{path} labels nothing: below a header, each line is a file's name and its group")
    return labels


def grouped(files: Sequence[Path], labels: Mapping[str, str]) -> dict[str, list[Path]]:
    """The labelled files by group; those without a label are left out, with a warning.

    Raises UsageError when two files share a name, NotFoundError when a label is of no file.
    """
    by_name = {path.name: path for path in files}
    if len(by_name) < len(files):
        raise UsageError("labels go by the names of files, and two of the pictures share one; give one folder")
    unknown = [name for name in labels if name not in by_name]
    if unknown:
        some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise NotFoundError(f"{len(unknown)} of {len(labels)} labels are of no picture among the {len(files)}: {some}")
    without = len(files) - len(labels)
    if without:
        warnings.warn(
            f"{without} of {len(files)} pictures have no label; they are left out", HspaceWarning, stacklevel=2
        )
    groups: dict[str, list[Path]] = {}
    for name, group in labels.items():
        groups.setdefault(group, []).append(by_name[name])
    return groups


def of_equal_size(groups: Mapping[str, Sequence[Path]], n: int | None, seed: int) -> dict[str, list[Path]]:
    """As many of each group as the smallest has, at most n, drawn by the seed.

    Raises UsageError for fewer than two groups, and for one with fewer than two pictures.
    """
    if len(groups) < 2:
        found = ", ".join(groups) or "none"
        raise UsageError(f"an audit compares two groups or more; the labels have {len(groups)}: {found}")
    smallest = min(groups, key=lambda name: len(groups[name]))
    size = min(len(groups[smallest]), n or len(groups[smallest]))
    if size < LEAST:
        raise UsageError(f"each group needs at least {LEAST} pictures; {smallest!r} has {len(groups[smallest])}")
    drawn = {name: random.Random(f"{seed}/{name}").sample(list(files), size) for name, files in groups.items()}
    return {name: sorted(files) for name, files in sorted(drawn.items())}
