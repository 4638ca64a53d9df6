"""Stores: where the weights come from that are not part of a plugin."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from hspace.cards import Card
from hspace.errors import UsageError


class Store(Protocol):
    """Keeps weights in a cache; a card names it as `store`: "module", or "module:attribute".

    It imports nothing heavy before `fetch` is called.
    """

    def cached(self, card: Card) -> bool:
        """Whether the card's weights are there already, as far as a look at names of files tells."""

    def fetch(self, card: Card, weights: Path | None, offline: bool) -> Path:
        """A folder that the card's family reads: from the cache, or from `weights`, a file of the user's, or fetched.

        Raises NotFoundError when the weights are nowhere, or `offline` forbids to fetch them, RefusedError when they
        are not what they should be, HspaceError when the network or the disk fails. What is not whole is never taken
        for whole.
        """


def store_of(card: Card) -> Store:
    """The store that a card names; imports its module."""
    store: Store = resolve_name(card.store)
    return store


def weights_status(card: Card) -> str:
    """Where a backbone's weights are: "bundled", "cached", "download" or "bring-your-own"."""
    if card.store and store_of(card).cached(card):
        return "cached"
    status: Any = card.facts.get("weights", "bring-your-own" if card.needs else "bundled")
    return str(status)


def fetch(card: Card, weights: Path | None, offline: bool) -> Path:
    """The folder of a card's weights, from its store. Raises UsageError when it has none, else as the store does."""
    if not card.store:
        raise UsageError(
            f"backbone {card.name!r} takes no file of weights: its own come with it. Make a folder of the file with "
            f"'hspace convert', and give the folder as the backbone."
        )
    return store_of(card).fetch(card, weights, offline)
