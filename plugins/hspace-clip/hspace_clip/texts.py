"""Prompts as vectors and directions, in the wording of many templates, and kept once they were computed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from hspace.encoder import Encoder
from hspace.errors import HspaceError, HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.storage import cache_folder, read_tensors, write_tensors

BARE = ("{}",)
"""The prompt as it is."""
KINDS = ("photo", "picture", "image", "portrait", "painting", "drawing", "sketch", "rendering")
MANNERS = ("", "good ", "bad ", "blurry ", "sharp ", "dark ", "bright ", "cropped ", "close-up ", "colourful ")
TEMPLATES = (
    "{}",
    "a {}.",
    "the {}.",
    "this is a {}.",
    "there is a {} in the scene.",
    *(f"a {manner}{kind} of a {{}}." for kind in KINDS for manner in MANNERS),
)
"""Ways to say that something is seen, for an average that depends little on the wording.

Source: the practice of Radford et al., 2021 (arXiv:2103.00020), section 3.1.4; the list is our own.
"""
SAME = 1e-4
_kept: dict[str, Tensor] = {}


def prompt_vector(encoder: Encoder, prompt: str, templates: Sequence[str] = TEMPLATES) -> Tensor:
    """The mean (D,) of the unit vectors of a prompt in all templates; it is shorter than 1 and not normalised.

    It is kept in memory and in the cache folder, under the encoder's digest and the texts. Raises UsageError for an
    empty prompt, or a template without a place for it.
    """
    _check(prompt, templates)
    key = sha256(json.dumps([encoder.digest, prompt, list(templates)]).encode()).hexdigest()
    if key not in _kept:
        kept = _read(_path(key))
        _kept[key] = _computed(encoder, prompt, templates, _path(key)) if kept is None else kept
    return _kept[key]


def text_direction(encoder: Encoder, source: str, target: str, templates: Sequence[str] = TEMPLATES) -> Tensor:
    """The unit vector (D,) from the source prompt to the target prompt, on the CPU.

    Raises UsageError for an empty prompt, RefusedError when the two prompts are the same to the encoder.
    """
    before, after = (prompt_vector(encoder, prompt, templates) for prompt in (source, target))
    change = after - before
    if source.split() == target.split() or float(change.norm()) < SAME:
        raise RefusedError(
            f"there is no direction from {source!r} to {target!r}: {encoder.name} reads both as the same. "
            f"Give two prompts that differ in what should change."
        )
    return normalize(change, dim=0)


def prompt_cosine(encoder: Encoder, source: str, target: str) -> float:
    """The cosine of two prompts as they are, without templates. Raises UsageError for an empty prompt."""
    one, other = (prompt_vector(encoder, prompt, BARE) for prompt in (source, target))
    return float(cosine_similarity(one, other, dim=0))


def _check(prompt: str, templates: Sequence[str]) -> None:
    if not prompt.strip():
        raise UsageError("a prompt is empty; say in words what is seen, such as 'a smiling face'")
    if not templates or any("{}" not in template for template in templates):
        raise UsageError(f"every template needs a place {{}} for the prompt; these have none: {list(templates)}")


def _computed(encoder: Encoder, prompt: str, templates: Sequence[str], path: Path) -> Tensor:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", HspaceWarning)
        vector = encoder.texts([template.replace("{}", prompt) for template in templates]).mean(0).cpu()
    for warning in told:
        warnings.warn(warning.message, stacklevel=4)
    if not told:  # what was cut off is told every time
        with suppress(HspaceError):  # a cache that cannot be written costs time alone
            write_tensors(path, {"vector": vector})
    return vector


def _path(key: str) -> Path:
    return cache_folder() / "texts" / f"{key}.safetensors"


def _read(path: Path) -> Tensor | None:
    """The vector in a file of the cache, None when it is not there or damaged."""
    with suppress(NotFoundError, RefusedError, KeyError):
        return read_tensors(path)["vector"]
    return None
