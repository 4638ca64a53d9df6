"""What is known of the published files, and what the names of the official code's files say."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hspace.remote import File, Listing, read_listing

LIST = Path(__file__).parent / "zoo" / "remote" / "asyrp-official.json"
HOMES = {
    "CelebA_HQ": "sdedit-celebahq",
    "bedroom": "sdedit-bedroom",
    "church_outdoor": "sdedit-church",
    "dog": "ilvr-afhq-dog",
    "metfaces": "p2-metface",
}
"""The backbones of the official configurations, by the name of the data in a file's name."""
CHANNELS = 512
"""Of h, on all of these."""
NAME = re.compile(r"(?P<what>.+)_LC_(?P<data>.+)_t\d+_ninv\d+_ngen(?P<steps>\d+)(_\d+)?")


@dataclass(frozen=True)
class Named:
    """What a file's name says: of the direction, and, where it is one of the official code's, of data and steps."""

    what: str
    home: str | None = None
    steps: int | None = None


@cache
def listing() -> Listing:
    """The list of the published files."""
    return read_listing(LIST)


def by_sha256(digest: str) -> tuple[str, File] | None:
    """The name and the facts of the published file with that sha256, None when it is none of them."""
    return next(((name, one) for name, one in listing().directions.items() if one.sha256 == digest), None)


def by_name(path: Path) -> Named:
    """What the name of a file says; the official code writes `<what>_LC_<data>_t999_ninv40_ngen40_0.pth`."""
    found = NAME.fullmatch(path.stem)
    what = re.sub(r"[^a-z0-9_-]+", "-", (found["what"] if found else path.stem).lower()).strip("-_")
    if found is None:
        return Named(what or "imported")
    return Named(what or "imported", HOMES.get(found["data"]), int(found["steps"]))
