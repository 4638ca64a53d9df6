"""How the attributes of a face are put into words for CLIP: what it learns from, and what it is tested with.

A word is what `describe` says of an attribute. It is said in one of several ways, and the ways make a sentence
by a frame. The frames and ways named UNSEEN are kept out of training, to measure with.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from hspace_toyfaces.attributes import ATTRIBUTES
from hspace_toyfaces.captions import NOUNS, SHADES, with_article

Ways = tuple[str, ...]

PREDICATES: dict[str, Ways] = {
    "smiling": ("smiling", "happy"),
    "frowning": ("frowning", "sad"),
    "old": ("old",),
    "young": ("young",),
}
"""Words that stand before a noun, or after "is"."""
THINGS: dict[str, Ways] = {
    "smiling": ("a smile", "a smiling mouth"),
    "frowning": ("a frown", "a frowning mouth"),
    "old": ("old age",),
    "young": ("a young face",),
    "glasses": ("glasses", "a pair of glasses", "eyeglasses"),
    "no glasses": ("no glasses",),
    "a beard": ("a beard", "beard"),
    "no beard": ("no beard", "a shaved face"),
    "light skin": ("light skin", "pale skin"),
    "dark skin": ("dark skin",),
    "grey hair": ("grey hair", "gray hair"),
    "no grey hair": ("no grey hair",),
}
"""Words as things that a face has; those not named here are said as they are."""
TAILS: dict[str, Ways] = {
    "looking left": ("looking left", "looking to the left", "turned to the left"),
    "looking right": ("looking right", "looking to the right", "turned to the right"),
    "lit from the left": ("lit from the left",),
    "lit from the right": ("lit from the right",),
}
"""Words that stand at the end."""
PEOPLE = ("face", "face", "person", "human face", "cartoon face", "portrait")
OPENINGS = (
    *("", "", "", "a photo of ", "a picture of ", "a portrait of ", "an image of ", "a drawing of "),
    *("a good photo of ", "a bad photo of ", "a blurry photo of ", "a cropped photo of ", "a close-up photo of "),
)
UNSEEN_OPENINGS = ("a painting of ", "here is ", "we see ", "a rendering of ", "a close photo of ", "a sketch of ")
FILLERS = ("", "", "", "", "one ", "the ")
NEUTRAL = ("face", "person", "a face", "a person", "a photo of a face", "a portrait", "a human face")
PAINTED = ("bg", "bg_light")
GROUNDS = ("on {}", "with {}")
UNSEEN_GROUNDS = ("before {}", "in front of {}")
MISHEARD = 0.03


def sentence(said: Mapping[str, str], rng: random.Random) -> str:
    """A caption in one of the frames that are learnt; `said` maps an attribute to its word.

    Now and then a token is replaced by one that no vocabulary has, so that unknown words in a prompt do no harm.
    """
    frame = rng.choice((_described, _described, _listed, _has))
    text = frame(said, rng, rng.choice(OPENINGS), GROUNDS)
    return " ".join("~" if rng.random() < MISHEARD and word not in _loaded(said) else word for word in text.split())


def unseen_sentence(said: Mapping[str, str], rng: random.Random) -> str:
    """A caption in one of the frames that are kept out of training."""
    frame = rng.choice((_described, _relative, _possessive))
    return frame(said, rng, rng.choice(UNSEEN_OPENINGS), UNSEEN_GROUNDS)


def plain(word: str) -> str:
    """What a user would type as a prompt: "smiling face", "face with glasses", "face looking left"."""
    if word in PREDICATES:
        return f"{word} face"
    if word in TAILS:
        return f"face {word}"
    return f"face with {_thing(word)}"


def all_words() -> Iterator[str]:
    """Every phrase that training may use; the vocabulary is made from these."""
    for table in (PREDICATES, THINGS, TAILS):
        for word, ways in table.items():
            yield from (word, *ways)
    yield from (*PEOPLE, *OPENINGS, *FILLERS, *NEUTRAL, "on with and , . who is has a an it")
    for name, attribute in ATTRIBUTES.items():
        yield from (attribute.negative, attribute.positive)
        yield from (f"{shade} {NOUNS[name]}" for _, _, shade in SHADES.get(name, ()))


def _described(said: Mapping[str, str], rng: random.Random, opening: str, grounds: Ways) -> str:
    """a photo of a happy face with glasses and blond hair looking left on a blue background"""
    before, things, tails = _sorted(said, rng)
    person = f"{rng.choice(FILLERS)}{' '.join([*before, rng.choice(PEOPLE)])}"
    noun = person if person.startswith(("one ", "the ")) else with_article(person)
    return f"{opening}{noun}{_with(things)}{_ground(said, rng, grounds)}{_ending(tails)}"


def _listed(said: Mapping[str, str], rng: random.Random, opening: str, grounds: Ways) -> str:
    """face, smile, glasses"""
    before, things, tails = _sorted(said, rng)
    facts = [*before, *things, *tails, *_scene(said)]
    rng.shuffle(facts)
    return ", ".join([f"{opening}{rng.choice(PEOPLE)}".strip(), *facts])


def _has(said: Mapping[str, str], rng: random.Random, opening: str, grounds: Ways) -> str:
    """a photo of a person who is happy, has glasses and blond hair on a blue background"""
    before, things, tails = _sorted(said, rng)
    facts = [*(f"is {word}" for word in (*before, *tails)), *(f"has {thing}" for thing in things)]
    person = f"{opening}{with_article(rng.choice(PEOPLE))}"
    who = f" who {_and(facts)}" if facts else ""
    return f"{person}{who}{_ground(said, rng, grounds)}"


def _relative(said: Mapping[str, str], rng: random.Random, opening: str, grounds: Ways) -> str:
    """we see a person that has glasses, and is happy, in front of a blue background"""
    before, things, tails = _sorted(said, rng)
    facts = [*(f"has {thing}" for thing in things), *(f"is {word}" for word in (*before, *tails))]
    that = f" that {', and '.join(facts)}" if facts else ""
    return f"{opening}a person{that}{_ground(said, rng, grounds)}"


def _possessive(said: Mapping[str, str], rng: random.Random, opening: str, grounds: Ways) -> str:
    """this face: glasses; happy; before a blue background"""
    before, things, tails = _sorted(said, rng)
    return f"this face: {'; '.join([*things, *before, *tails])}{_ground(said, rng, grounds)}"


def _sorted(said: Mapping[str, str], rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    """The face's words, each said in one of its ways: before the noun, as things, at the end."""
    before, things, tails = [], [], []
    for word in (word for name, word in said.items() if name not in PAINTED):
        if word in TAILS:
            tails.append(rng.choice(TAILS[word]))
        elif word in PREDICATES and rng.random() < 0.7:
            before.append(rng.choice(PREDICATES[word]))
        else:
            things.append(rng.choice(THINGS.get(word, (_thing(word),))))
    for words in (before, things):
        rng.shuffle(words)
    return before, things, tails


def _thing(word: str) -> str:
    """The word with the article it needs: "a red shirt", "glasses"."""
    return with_article(word) if word.endswith((" face", " shirt", " background")) else word


def _loaded(said: Mapping[str, str]) -> set[str]:
    return {part.strip(",") for word in said.values() for part in " ".join([word, *_ways(word)]).split()}


def _ways(word: str) -> Ways:
    return (*PREDICATES.get(word, ()), *THINGS.get(word, ()), *TAILS.get(word, ()))


def _scene(said: Mapping[str, str]) -> list[str]:
    return [said[name] for name in PAINTED if name in said]


def _ground(said: Mapping[str, str], rng: random.Random, grounds: Ways) -> str:
    words = [word.removesuffix(" background") for word in reversed(_scene(said))]
    if not words:
        return ""
    return " " + rng.choice(grounds).format(with_article(f"{' '.join(words)} background"))


def _with(things: Sequence[str]) -> str:
    return f" with {_and(things)}" if things else ""


def _and(facts: Sequence[str]) -> str:
    return " and ".join([", ".join(facts[:-1]), facts[-1]] if len(facts) > 1 else facts)


def _ending(tails: Sequence[str]) -> str:
    return f" {' '.join(tails)}" if tails else ""
