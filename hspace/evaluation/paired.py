"""Folders of pictures that belong together by their names, read batch by batch, and a look at whether they do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from hspace.errors import RefusedError, UsageError
from hspace.evaluation.originals import names_of
from hspace.evaluation.streams import Folders, Stream, Subject
from hspace.images import find_images, load_image, open_image, read_note, to_tensor
from hspace.metric import Batch
from hspace.storage import sha256

THUMBNAIL = 8
FEWEST = 4
"""Pictures of a batch from which it can be told whether one is more like another's."""


class Pairs(Stream):
    """Pictures of two or three folders, matched by their names without suffix.

    They are taken as they are, or, with `size`, cut to their central square and resized by an antialiased Lanczos
    filter. Raises UsageError for fewer than two folders, for names that one has and another lacks, and for pictures of
    different sizes where no `size` is given; RefusedError for an edit that says it was made of another original.
    """

    def __init__(self, folders: Folders, prompts: tuple[str, str] | None = None, size: int | None = None) -> None:
        self.files, self.size = matched(folders), size
        first = next(iter(self.files.values()))
        self.names = tuple(first)
        self.subjects = (Subject("", None, prompts),)
        self.has = frozenset(self.files)
        resized = f"resized to {size} px" if size else "at their own size"
        self.told = f"{len(first)} pictures of each of {', '.join(self.files)}, {resized}"
        digests = {what: [sha256(path) for path in files.values()] for what, files in self.files.items()}
        self.facts = {"files": digests, "size": size}
        require_recorded(self.files)
        self._strange = self._looked = 0

    def at(self, start: int, stop: int) -> Iterator[Batch]:
        names = self.names[start:stop]
        pictures = {what: self._read([files[name] for name in names]) for what, files in self.files.items()}
        if len({tuple(one.shape) for one in pictures.values()}) > 1:
            told = ", ".join(f"{what} {one.shape[-1]}x{one.shape[-2]}" for what, one in pictures.items())
            raise UsageError(f"the pictures are of different sizes ({told}); resize all of them with --size N")
        if len(names) >= FEWEST and "edit" in pictures:
            other = pictures.get("orig", pictures.get("recon"))
            assert other is not None
            self._strange += strangers(other, pictures["edit"])
            self._looked += len(names)
        orig, recon, edit = (pictures.get(what) for what in ("orig", "recon", "edit"))
        yield Batch(torch.arange(start, stop), orig, recon, edit)

    def noticed(self) -> str:
        if 2 * self._strange <= self._looked:
            return ""
        return (
            f"{self._strange} of {self._looked} edited pictures look more like another's original than like their own; "
            f"are the pairs shuffled?"
        )

    def _read(self, paths: list[Path]) -> Tensor:
        if self.size:
            return torch.cat([load_image(path, self.size) for path in paths])
        pictures = [to_tensor(open_image(path)) for path in paths]
        for path, one in zip(paths, pictures, strict=True):
            if one.shape != pictures[0].shape:
                first = f"{paths[0]} is {pictures[0].shape[-1]}x{pictures[0].shape[-2]}"
                other = f"{path} is {one.shape[-1]}x{one.shape[-2]}"
                raise UsageError(f"{first}, {other}; resize all of them with --size N")
        return torch.cat(pictures)


def matched(folders: Folders) -> dict[str, dict[str, Path]]:
    """The files by name, in order, for each folder that is given; raises as `Pairs` does."""
    places = folders.given()
    if len(places) < 2:
        raise UsageError("two or three folders are compared: give two of --orig, --recon and --edit")
    files: dict[str, dict[str, Path]] = {}
    for what, place in places.items():
        found = find_images([place])
        files[what] = dict(sorted(zip(names_of(found), found, strict=True)))
    whole = set[str]().union(*files.values())
    for what, known in files.items():
        lacking = sorted(whole - set(known))
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise UsageError(
                f"{places[what]} has {len(known)} pictures, and none called {lacking[0]!r}{more}, which another folder "
                f"has; pictures belong together by their names, so each folder needs the same"
            )
    return files


def require_recorded(files: Mapping[str, Mapping[str, Path]]) -> None:
    """Raises RefusedError when an edit carries the sha256 of what it was made of, and that is not its original's.

    'hspace edit' writes it into its pictures; others say nothing.
    """
    for name, original in files.get("orig", {}).items():
        edited = files.get("edit", {}).get(name)
        note = read_note(edited) if edited is not None else None
        told = None
        with suppress(ValueError, AttributeError):
            told = json.loads(note or "{}").get("input_sha256")
        if told is not None and told != sha256(original):
            raise RefusedError(f"{edited} was made of another picture than {original}; are the pairs shuffled?")


def strangers(one: Tensor, other: Tensor) -> int:
    """How many of the pictures `other` (B, 3, H, W) are, in small, nearer to the `one` of another than to their own.

    Near is the cosine of thumbnails without their own mean and that of the batch, so that an edit of all pictures alike
    makes none a stranger.
    """
    small = [adaptive_avg_pool2d(some, THUMBNAIL).flatten(1) for some in (one, other)]
    here, there = (normalize(some - some.mean(dim=0), dim=1) for some in small)
    alike = there @ here.T
    return int((alike.argmax(dim=1) != torch.arange(len(alike), device=alike.device)).sum())
