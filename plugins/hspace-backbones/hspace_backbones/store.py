"""The store of checkpoints: fetched from the hub or a URL, or brought by the user, and converted once.

A card of any plugin may name this module as its `store`; its facts then say what to fetch:

`repo`, and `revision` and `files` where they are not main and the family's usual ones: a repository of the hub;
`url`, and `member` where it is a zip with the checkpoint in it: a file of an official code, converted;
neither: a file that only the user can bring.

`sha256`, `md5` and `bytes` are those of `file`. `official` holds the constructor's arguments by the keys of
`hspace convert --args`; what is fetched must then be a network of theirs. `norm_num_groups` is 32 where it is absent.
"""

from pathlib import Path

from hspace.cards import Card
from hspace.errors import NotFoundError, UsageError
from hspace_backbones import hub, kept


def cached(card: Card) -> bool:
    """Whether the weights are in the cache: all files of a repository, or a converted folder."""
    return hub.find(card) is not None if "repo" in card.facts else bool(kept.there(card))


def fetch(card: Card, weights: Path | None = None, offline: bool = False) -> Path:
    """The folder of a card's weights, whole and checked; see `hspace.store.Store` for what it raises."""
    offline = offline or hub.offline()
    if "repo" in card.facts:
        if weights is not None:
            raise UsageError(
                f"{card.name} is a repository of the hub, not one file. Give a folder that holds it as the backbone, "
                f"or the file to one of the cards that take it; {weights} was given"
            )
        return hub.fetch(card, offline)
    if weights is not None:
        return kept.bring(card, weights)
    if (folder := kept.find(card)) is not None:
        return folder
    if "url" not in card.facts:
        get = card.facts.get("get", "give your copy with --weights FILE")
        raise NotFoundError(f"the weights of {card.name}: {get}.")
    if offline:
        raise NotFoundError(
            f"the weights of {card.name} are not in the cache, and nothing is downloaded offline. Leave away --offline "
            f"and HF_HUB_OFFLINE, or give your own copy with --weights {card.facts['file']}."
        )
    return kept.download(card)
