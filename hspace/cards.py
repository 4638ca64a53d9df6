"""Cards: what a plugin says about an implementation, without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

SINGULAR = {
    "backbones": "backbone",
    "heads": "head",
    "finders": "finder",
    "encoders": "encoder",
    "importers": "importer",
    "sources": "source",
    "labellers": "labeller",
    "metrics": "metric",
}
"""The kinds of card, each the name of the hook that offers it without its prefix, and what one of them is called."""


@dataclass(frozen=True)
class Card:
    """The name of an implementation, where its code is, and the facts a list can show without importing it.

    `target` is "module:attribute". `needs` names what must be given before it can run: fields of a Task for a finder,
    settings for a labeller, "folder" for a backbone family that has no weights of its own. `store` is the module that
    keeps a backbone's weights where they do not come with the plugin: a `hspace.store.Store`. `plugin` is filled in on
    collection.
    """

    name: str
    target: str
    summary: str
    needs: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""
    store: str = ""

    def load(self) -> Any:
        """The object that `target` names; imports its module.

        Raises ImportError or AttributeError when the plugin's code is not there.
        """
        return resolve_name(self.target)
