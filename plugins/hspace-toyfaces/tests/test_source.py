"""The source of toy faces."""

import pytest
import torch

from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.source import BLOCK, ToyFaces, build


@pytest.mark.parametrize("start", [0, 3, BLOCK - 2, BLOCK, 3 * BLOCK + 7])
def test_a_face_is_the_same_in_whatever_batch(start: int) -> None:
    source = ToyFaces(seed=5)
    whole, some = source.attributes(4 * BLOCK), source.attributes(4, start)
    assert all(torch.equal(some[name], whole[name][start : start + 4]) for name in NAMES)


def test_the_picture_of_a_face_is_the_same_in_whatever_batch() -> None:
    source = ToyFaces(size=32)
    torch.testing.assert_close(source.images(2, start=6), source.images(8)[6:], rtol=0, atol=1e-6)


def test_the_caption_of_a_face_is_the_same_in_whatever_batch() -> None:
    source = ToyFaces()
    assert source.captions(3, start=BLOCK - 1) == source.captions(BLOCK + 2)[-3:]


def test_another_seed_gives_other_faces() -> None:
    assert not torch.equal(ToyFaces(seed=0).attributes(4)["skin"], ToyFaces(seed=1).attributes(4)["skin"])


def test_another_block_gives_other_faces() -> None:
    source = ToyFaces()
    assert not torch.equal(source.attributes(4)["skin"], source.attributes(4, start=BLOCK)["skin"])


def test_no_faces_may_be_asked_for() -> None:
    source = ToyFaces(size=16)
    assert source.images(0).shape == (0, 3, 16, 16)
    assert source.captions(0, start=9) == []


def test_build_passes_its_keywords_on() -> None:
    source = build(size=48, seed=7)
    assert (source.size, source.seed) == (48, 7)


def test_build_refuses_other_keywords() -> None:
    with pytest.raises(TypeError, match="sise"):
        build(sise=48)


@pytest.mark.parametrize(("n", "start"), [(-1, 0), (1, -1)])
def test_a_negative_number_is_refused(n: int, start: int) -> None:
    with pytest.raises(ValueError, match=r"faces from number .* neither may be negative"):
        ToyFaces().attributes(n, start)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at size 0; a picture has at least 1 pixel"):
        ToyFaces(size=0)


def test_build_reads_a_skew() -> None:
    faces = build(skew="skin=0,glasses=1").attributes(300)
    assert faces["skin"].max() <= 0
    assert faces["glasses"].min() == 1


@pytest.mark.parametrize(
    ("skew", "told"),
    [
        ("skin", "'skin' was given"),
        ("skin=most", "as in skin=0.03"),
        ("skin=2", "from 0 to 1"),
        ("skn=0.1", "'skn' is"),
    ],
)
def test_what_is_no_skew_is_refused(skew: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build(skew=skew)
