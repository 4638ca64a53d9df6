"""Checkpoints of official code in the cache: converted once, each into a folder of its own."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from hspace.cards import Card
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.storage import TEMPORARY, cache_folder, sha256, writing

PUBLISHED = "published"
"""The folder of a checkpoint that was downloaded; those of the user's own files are called by their sha256."""
DIGITS = 16
MOST_COMPRESSED = 10
"""Weights hardly shrink; a member that unpacks to more than so many times its size is not one."""


def place(card: Card) -> Path:
    """Where the converted folders of a card are."""
    return cache_folder() / "backbones" / card.name


def there(card: Card) -> list[Path]:
    """The converted folders that a card's name alone may mean.

    That is the published one; of a checkpoint that cannot be downloaded, all that the user brought.
    """
    if "url" in card.facts:
        return [folder for folder in (place(card) / PUBLISHED,) if folder.is_dir()]
    return sorted(path for path in place(card).glob("*") if path.is_dir() and not path.name.startswith(TEMPORARY))


def find(card: Card) -> Path | None:
    """The card's converted folder, None when there is none. Raises UsageError when the user brought several files."""
    folders = there(card)
    if len(folders) > 1:
        raise UsageError(
            f"several files were brought as {card.name}; say which with --weights, or remove all but one of "
            f"{', '.join(map(str, folders))}"
        )
    return folders[0] if folders else None


def bring(card: Card, weights: Path) -> Path:
    """The converted folder of the user's own file, by its content: the same file is converted once.

    Raises NotFoundError when it is not there, RefusedError when it is not a checkpoint of the card's model.
    """
    if not weights.is_file():
        raise NotFoundError(f"there is no file {weights}; --weights takes a copy of {card.facts.get('file', 'it')}")
    digest = sha256(weights)
    folder = place(card) / digest[:DIGITS]
    with _alone(card):
        if not folder.is_dir():
            _convert(card, weights, folder, f"{weights.name}, sha256 {digest}")
    return folder


def download(card: Card) -> Path:
    """The converted folder of the published file, downloaded, checked and converted; the file is then removed."""
    from hspace import download as downloads

    facts = card.facts
    path = cache_folder() / "downloads" / card.name / Path(facts["file"]).name
    if not path.exists():
        remote = downloads.look(facts["url"], facts.get("bytes"), facts.get("sha256"), facts.get("md5"))
        downloads.download(remote, path, card.name)
    folder = place(card) / PUBLISHED
    with _alone(card):
        if not folder.is_dir():
            try:
                _convert(card, path, folder, f"{facts['url']}, sha256 {sha256(path)}")
            except RefusedError as error:
                path.unlink()
                raise RefusedError(f"{facts['url']} is not {card.name}: {error} The download was removed.") from error
            path.unlink()
    return folder


@contextmanager
def _alone(card: Card) -> Iterator[None]:
    """Lets one process at a time convert for a card, and clears what a killed one left."""
    try:
        place(card).mkdir(parents=True, exist_ok=True)
        lock = FileLock(place(card).with_name(f"{card.name}.lock"))
        lock.acquire()
    except OSError as error:
        reason = error.strerror or str(error)
        raise HspaceError(f"could not write to {place(card)}: {reason}. Set HSPACE_CACHE to another folder.") from error
    try:
        for left in place(card).glob(f"{TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
        yield
    finally:
        lock.release()


def _convert(card: Card, path: Path, folder: Path, source: str) -> None:
    from hspace.archive import read_checkpoint
    from hspace_backbones.conversion import convert_checkpoint
    from hspace_backbones.converted_folder import write_folder

    facts = card.facts
    with _checkpoint(path, facts.get("member"), folder.parent) as checkpoint:
        weights = read_checkpoint(checkpoint)
        groups = facts.get("norm_num_groups", 32)
        write_folder(
            convert_checkpoint(weights, facts["family"], facts["official"], groups), folder, facts["family"], source
        )


@contextmanager
def _checkpoint(path: Path, member: str | None, folder: Path) -> Iterator[Path]:
    """The checkpoint itself: the file, or its unpacked `member` where the file is a zip that has it."""
    if member is None or not zipfile.is_zipfile(path):
        yield path
        return
    unpacked = folder / f"{TEMPORARY}{os.getpid()}-{Path(member).name}"
    try:
        with zipfile.ZipFile(path) as archive:
            found = next((one for one in archive.infolist() if one.filename == member), None)
            if found is None:
                yield path  # torch's own files are zips too
                return
            if found.file_size > MOST_COMPRESSED * max(found.compress_size, 1):
                raise RefusedError(f"{path} holds {member} compressed far more than weights can be")
            with writing(unpacked) as temporary, archive.open(found) as packed, open(temporary, "wb") as file:
                shutil.copyfileobj(packed, file, 2**20)
        yield unpacked
    except (zipfile.BadZipFile, EOFError) as error:
        raise RefusedError(f"{path} is not a whole zip: {error}.") from error
    finally:
        unpacked.unlink(missing_ok=True)
