"""Captions of toy faces, in words that follow from their attributes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from torch import Tensor

from .attributes import ATTRIBUTES

CLEAR = 0.35
"""An attribute this far from its middle is said in words."""
MOST_DETAILS = 4
KEPT = 0.6  # how often something that could be said is said
KEPT_TRIFLE = 0.12

Shades = tuple[tuple[float, float, str], ...]
NOUNS = {"hair": "hair", "eye": "eyes", "bg": "background", "shirt": "shirt"}
SYNONYMS = {"smiling": ("smiling", "smiling", "happy"), "frowning": ("frowning", "frowning", "sad")}
OPENINGS = ("", "", "a photo of", "a picture of", "a portrait of")
FACTS = ("glasses", "beard", "skin", "eye")
TRIFLES = ("id_eyesp", "id_eyesz", "id_nose", "id_brow")


def _five(*words: str) -> Shades:
    """The shades of a ramp with five stops, each with room around it."""
    return tuple((stop / 2 - 1.18, stop / 2 - 0.82, word) for stop, word in enumerate(words))


SHADES: dict[str, Shades] = {
    "hair": ((-1.0, -0.8, "black"), (-0.6, 0.1, "brown"), (0.35, 0.65, "ginger"), (0.8, 1.0, "blond")),
    "eye": ((-1.0, -0.65, "brown"), (-0.25, 0.25, "green"), (0.65, 1.0, "blue")),
    "bg": _five("blue", "teal", "yellow", "orange", "pink"),
    "shirt": _five("red", "yellow", "green", "blue", "purple"),
}
"""The attributes that are ramps of colour: from, to, and the word; between them no one word fits."""


def describe(attributes: Mapping[str, Tensor], index: int) -> dict[str, str]:
    """Words for one face: attribute -> "smiling", "long hair", "no glasses", "teal background", ...

    An attribute is absent where its value is in the ambiguous middle, or between two colours; the colour of
    hair is absent too where the hair turns grey.
    """
    values = {name: float(values[index]) for name, values in attributes.items()}
    found = {name: _word(name, value) for name, value in values.items()}
    if values["grey"] > -0.5:
        found["hair"] = ""
    return {name: word for name, word in found.items() if word}


def words_of(name: str) -> tuple[str, ...]:
    """All that `describe` may say of an attribute: its two ends, or the stops of its ramp of colours."""
    if name in SHADES:
        return tuple(f"{shade} {NOUNS[name]}" for _, _, shade in SHADES[name])
    return ATTRIBUTES[name].negative, ATTRIBUTES[name].positive


def caption(attributes: Mapping[str, Tensor], index: int, rng: random.Random) -> str:
    """A phrase that says some of what `describe` knows of one face; rng decides which, and in what order."""
    words = describe(attributes, index)
    said = {name: word for name, word in words.items() if rng.random() < _chance(name, word)}
    person = (said.get("age", ""), _synonym(said.get("smile", ""), rng), rng.choice(("face", "person")))
    shirt, scene = said.get("shirt", ""), _joined(said.get("bg_light", ""), said.get("bg", ""))
    phrases = (
        rng.choice(OPENINGS),
        with_article(" ".join(_present(person))),
        _with(_details(said, rng)),
        f"in {with_article(shirt)}" if shirt else "",
        said.get("yaw", ""),
        said.get("light", ""),
        f"on {with_article(scene)}" if scene else "",
    )
    return " ".join(_present(phrases))


def captions(attributes: Mapping[str, Tensor], seed: int) -> list[str]:
    """One caption per face; that of face i depends on the seed, on i and on its attributes alone."""
    n = len(attributes["smile"])
    return [caption(attributes, index, random.Random(f"{seed}/{index}")) for index in range(n)]


def with_article(noun: str) -> str:
    """The noun phrase with "a" or "an" before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _word(name: str, value: float) -> str:
    if name in SHADES:
        fitting = (word for low, high, word in SHADES[name] if low <= value <= high)
        shade = next(fitting, "")
        return f"{shade} {NOUNS[name]}" if shade else ""
    if abs(value) <= CLEAR:
        return ""
    return ATTRIBUTES[name].positive if value > 0 else ATTRIBUTES[name].negative


def _chance(name: str, word: str) -> float:
    """How often a word is said: what is absent, and trifles, seldom; the scene half as often as the face."""
    if name in TRIFLES or name == "light" or word.startswith("no "):
        return KEPT_TRIFLE
    return KEPT / 2 if ATTRIBUTES[name].kind == "scene" else KEPT


def _details(said: Mapping[str, str], rng: random.Random) -> list[str]:
    """At most MOST_DETAILS things that the face has, shuffled."""
    colour = said.get("grey", "") if said.get("grey") == "grey hair" else said.get("hair", "")
    others = (said.get(name, "") for name in (*FACTS, *TRIFLES))
    found = list(_present((_joined(said.get("length", ""), colour), *others)))
    rng.shuffle(found)
    return found[:MOST_DETAILS]


def _synonym(word: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS[word]) if word else ""


def _joined(first: str, second: str) -> str:
    """Two words for one thing as one: "long hair" and "brown hair" as "long brown hair"."""
    if first and second:
        return f"{first.rsplit(maxsplit=1)[0]} {second}"
    return first or second


def _with(details: list[str]) -> str:
    if not details:
        return ""
    if len(details) == 1:
        return f"with {details[0]}"
    return f"with {', '.join(details[:-1])} and {details[-1]}"


def _present(words: Iterable[str]) -> Iterable[str]:
    return (word for word in words if word)
