"""The labeller `prompts`, with an encoder that looks at the mean colour."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Encoder
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.testing import LabellerContract
from hspace_clip.labeller import Prompts, read_prompts

COLOURS = ("red", "green", "blue")


class Corner(Encoder):
    """Sees the mean colour, and reads its name."""

    name, digest = "corner", "c" * 64

    def images(self, x: Tensor) -> Tensor:
        return normalize(x.mean((2, 3)) + 1.5, dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        counts = [[float(word in text) + 0.1 for word in COLOURS] for text in texts]
        return normalize(torch.tensor(counts), dim=1)


class TestPrompts(LabellerContract):
    labeller = "prompts"
    config: Mapping[str, Any] = {"prompts": "a smiling face, a face with glasses", "encoder": "toyclip"}


@pytest.fixture(autouse=True)
def _own_cache(hspace_home: Path) -> None:
    """Texts are kept in a folder of each test's own."""


@pytest.mark.parametrize("channel", range(3))
def test_a_picture_that_gets_redder_goes_towards_red_and_away_from_the_others(channel: int) -> None:
    plain, edited = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    edited[:, channel] += 0.5
    scores = Prompts(Corner(), COLOURS).scores(plain, edited)
    assert scores.shape == (2, 3)
    assert scores.argmax(dim=1).tolist() == [channel, channel]
    assert float(scores[0, channel]) > 0.99
    others = [other for other in range(3) if other != channel]
    assert scores[0, others].tolist() == pytest.approx([-0.5, -0.5], abs=0.05)


def test_prompts_may_be_told_apart_from_a_base() -> None:
    plain, redder = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    redder[:, 0] += 0.5
    scores = Prompts(Corner(), ("red",), base="nothing").scores(plain, redder)
    assert float(scores) > 0.9


def test_a_picture_that_did_not_change_scores_0() -> None:
    same = torch.zeros(1, 3, 8, 8)
    assert Prompts(Corner(), COLOURS).scores(same, same).tolist() == [[0, 0, 0]]


def test_one_prompt_alone_needs_a_base() -> None:
    with pytest.raises(UsageError, match="there must be two or more; 1 given"):
        Prompts(Corner(), ("red",))


def test_a_prompt_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="a prompt is given twice: red, red"):
        Prompts(Corner(), ("red", "red"))


def test_a_prompt_that_reads_as_the_base_is_refused() -> None:
    with pytest.raises(RefusedError, match="corner reads 'dog' as 'cat'"):
        Prompts(Corner(), ("red", "dog"), base="cat")


def test_prompts_are_read_from_a_list_or_a_file(tmp_path: Path) -> None:
    assert read_prompts(" a face ,an old face,") == ["a face", "an old face"]
    (tmp_path / "prompts.txt").write_text("a face, smiling\n\n an old face \n")
    assert read_prompts(str(tmp_path / "prompts.txt")) == ["a face, smiling", "an old face"]


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_prompts(str(tmp_path / "prompts.txt"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.bin").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="is not a text of prompts in UTF-8"):
        read_prompts(str(tmp_path / "prompts.bin"))
