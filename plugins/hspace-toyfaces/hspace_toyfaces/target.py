"""What an edit is after: the attribute that its prompts name, and which way."""

from __future__ import annotations

import re

from hspace.errors import UsageError, not_found

from .attributes import ATTRIBUTES, NAMES

WAY_OUT = "say it with --set toyfaces.target=smile, or =-smile for less of it"


def parse_target(text: str) -> tuple[str, int]:
    """The attribute and the sign of `smile` or `-smile`. Raises NotFoundError for an unknown attribute."""
    name = text.lstrip("+-")
    if name not in NAMES:
        raise not_found("attribute", name, NAMES, "It is what the direction is meant to change.")
    return name, -1 if text.startswith("-") else 1


def target_of(prompts: tuple[str, str] | None) -> tuple[str, int]:
    """The attribute whose words the second prompt has and the first has not, and 1 where it is to grow, -1 else.

    Raises UsageError where there are no prompts, or they name no attribute, or several.
    """
    if prompts is None:
        raise UsageError(f"nothing says which attribute the direction is meant to change; {WAY_OUT}")
    before, after = (_named(prompt) for prompt in prompts)
    found = after - before
    if len(found) != 1:
        told = f"{len(found)} attributes" if found else "no attribute"
        raise UsageError(f"{prompts[1]!r} names {told} of a toy face; {WAY_OUT}")
    return found.pop()


def _named(prompt: str) -> set[tuple[str, int]]:
    """The attributes, with the sign, whose words are in a prompt; the longest first, so that "no beard" is one."""
    words = [(one.positive, name, 1) for name, one in ATTRIBUTES.items()]
    words += [(one.negative, name, -1) for name, one in ATTRIBUTES.items()]
    found = set()
    for text, name, sign in sorted(words, key=lambda word: -len(word[0])):
        rest = re.sub(rf"\b{re.escape(text)}\b", " ", prompt)
        if rest != prompt:
            found.add((name, sign))
            prompt = rest
    return found
