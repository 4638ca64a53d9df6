"""Published directions of others: lists of files by URL and sha256, in `remote/` of a zoo, and fetching them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hspace import storage
from hspace.errors import NotFoundError, RefusedError, not_found
from hspace.plugins import plugins

REMOTE = "remote"
YES = ("1", "ON", "YES", "TRUE")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """One file of a list: what it is by, and what is known of the direction in it."""

    file: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    backbone: str
    family: str
    prompts: tuple[str, str] | None = None
    facts: dict[str, Any] = {}
    """For the importer of the file."""


class Listing(_Part):
    """The content of `remote/<name>.json`: files below one URL, by the names that `hspace pull` knows them by."""

    format: Literal[1]
    source: str
    licence: str
    url: str = Field(pattern="^https?://.*/$")
    directions: dict[str, File]


@dataclass(frozen=True)
class Published:
    """A direction that can be pulled: `<list>/<name>`, its list, and its file."""

    id: str
    listing: Listing
    file: File

    def url(self, base: str | None = None) -> str:
        """Where its file is: below the list's URL, or below `base`."""
        return f"{(base or self.listing.url).rstrip('/')}/{self.file.file}"


def read_listing(path: Path) -> Listing:
    """The list in a file. Raises RefusedError when it is not one."""
    try:
        return Listing.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefusedError(f"{path} is not a list of published directions: {where}: {first['msg']}") from error


def published() -> dict[str, Published]:
    """Every direction that an installed zoo lists, by `<list>/<name>`."""
    found: dict[str, Published] = {}
    for _, zoo in plugins().zoos:
        for path in sorted((zoo / REMOTE).glob("*.json")):
            listing = read_listing(path)
            for name, file in listing.directions.items():
                id = f"{path.stem}/{name}"
                found.setdefault(id, Published(id, listing, file))
    return found


def find(id: str) -> Published:
    """The published direction of that name. Raises NotFoundError with the nearest names."""
    known = published()
    if id not in known:
        raise not_found("published direction", id, known, "See 'hspace pull' without a name.")
    return known[id]


def fetch(one: Published, *, base: str | None = None, offline: bool = False) -> Path:
    """The file of a published direction in the cache, of the listed sha256: downloaded where it is not there yet.

    `base` is a mirror: the file is looked for below that URL. With `offline`, or HF_HUB_OFFLINE, nothing is downloaded.
    Raises NotFoundError when the file is not to be had, RefusedError when it is not the listed one, HspaceError when
    the network or the disk fails; what has arrived then is kept, and the next call goes on from there.
    """
    from hspace.download import download, look

    path = storage.cache_folder() / REMOTE / one.id.partition("/")[0] / one.file.file
    if path.exists():
        if storage.sha256(path) == one.file.sha256:
            return path
        path.unlink()  # damaged since
    if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in YES:
        raise NotFoundError(
            f"{one.id} is not in the cache, and nothing is downloaded offline. Leave away --offline and "
            f"HF_HUB_OFFLINE, or get {one.url()} yourself and use 'hspace import'."
        )
    download(look(one.url(base), one.file.bytes, one.file.sha256), path, one.id)
    return path
