"""The labeller `prompts`: which of some prompts an edit moves pictures towards, in the eyes of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone, Encoder
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.labeller import Labeller
from hspace.loading import load_encoder
from hspace.sampling import latents
from hspace_clip import DEFAULT
from hspace_clip.texts import SAME, prompt_vector

AT_ONCE = 32


class Prompts(Labeller):
    """Compares what an edit does to the pictures' vectors with where each prompt lies, in an encoder's space.

    A prompt lies in the direction from `base` to it, or from the mean of all prompts where there is no base; the score
    of a picture is the cosine of that with the change of its vector. Raises UsageError for fewer than two prompts
    without a base, or the same one twice; RefusedError where the encoder reads a prompt as the base.
    """

    least = None

    def __init__(self, encoder: Encoder, prompts: Sequence[str], base: str | None = None, device: str = "cpu") -> None:
        self.names = tuple(prompts)
        if len(self.names) < (1 if base else 2):
            raise UsageError(
                f"prompts are told apart from one another, so there must be two or more; {len(self.names)} given. "
                f"Give more, or a base that says what is not there yet: --set base='a face'"
            )
        if len(set(self.names)) < len(self.names):
            raise UsageError(f"a prompt is given twice: {', '.join(self.names)}")
        self.encoder, self.device = encoder, device
        self.unit = f"cosines of the change of a picture's vector with the prompt's, by {encoder.name}"
        vectors = torch.stack([prompt_vector(encoder, prompt) for prompt in self.names])
        towards = vectors - (prompt_vector(encoder, base) if base else vectors.mean(dim=0))
        for name, length in zip(self.names, towards.norm(dim=1), strict=True):
            if float(length) < SAME:
                raise RefusedError(f"{encoder.name} reads {name!r} as {repr(base) if base else 'all of the others'}")
        self.towards = normalize(towards, dim=1).cpu()

    def latents(self, backbone: Backbone, n: int, seed: int, steps: int) -> tuple[Tensor, str]:
        return latents(backbone, n, seed), f"{n} pictures drawn from seed {seed}"

    @torch.no_grad()
    def scores(self, plain: Tensor, edited: Tensor) -> Tensor:
        change = self._vectors(edited) - self._vectors(plain)
        return normalize(change, dim=1) @ self.towards.mT

    def _vectors(self, images: Tensor) -> Tensor:
        return torch.cat([self.encoder.images(some.to(self.device)).cpu() for some in torch.split(images, AT_ONCE)])


def build(prompts: str | list[str], encoder: str = DEFAULT, base: str | None = None, device: str = "cpu") -> Prompts:
    """The labeller for a list of prompts, a text of them with commas between, or a file with one on each line.

    Raises NotFoundError for an unknown encoder or a file that is not there, and as `Prompts` does.
    """
    named = read_prompts(prompts) if isinstance(prompts, str) else prompts
    return Prompts(load_encoder(encoder, device=device), named, base, device)


def read_prompts(text: str) -> list[str]:
    """The prompts of a file, one on each line and empty lines left out, or those of a text with commas between.

    Raises NotFoundError where the text ends like a file's name and there is no such file, UsageError for a file that is
    not a text.
    """
    path = Path(text)
    if path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except ValueError as error:
            raise UsageError(f"{path} is not a text of prompts in UTF-8: {error}") from error
    elif path.suffix == ".txt":
        raise NotFoundError(f"there is no file {path}")
    else:
        lines = text.split(",")
    return [line.strip() for line in lines if line.strip()]
