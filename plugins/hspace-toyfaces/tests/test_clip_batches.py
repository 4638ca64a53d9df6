"""Batches of CLIP's training: what is in them, and that what they say is true."""

import pytest
import torch

from hspace_toyfaces.attributes import ATTRIBUTES, NAMES, counterfactual, sample_attributes
from hspace_toyfaces.clip_batches import Batch, draw_batch, truth_table
from hspace_toyfaces.clip_recipe import ClipRecipe
from hspace_toyfaces.clip_tampering import part_elsewhere, smudged, strip_under_frown, teeth_under_frown
from hspace_toyfaces.learner import generator_for
from hspace_toyfaces.renderer import render

RECIPE = ClipRecipe(
    kind="clip", name="small", summary="", images=64, batch=32, learning_rate=1e-3, pairs=8, tampered=8, named=4
)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return draw_batch(RECIPE, generator_for(0, 0))


def test_a_batch_has_the_recipes_number_of_pictures_at_the_models_size(batch: Batch) -> None:
    assert batch.images.shape == (32, 3, 64, 64)
    assert len(batch.captions) == len(batch.words) == 32
    assert (len(batch.pairs), len(batch.tampered), len(batch.foils)) == (8, 8, 8)


def test_the_same_step_gives_the_same_batch(batch: Batch) -> None:
    again = draw_batch(RECIPE, generator_for(0, 0))
    assert torch.equal(again.images, batch.images)
    assert (again.captions, again.choices) == (batch.captions, batch.choices)


def test_a_caption_is_true_of_its_own_picture_and_a_foil_is_false_of_its(batch: Batch) -> None:
    true, false = truth_table(batch.words, batch.said)
    assert bool(true.diagonal().all())
    for foil, (_, tampered) in enumerate(batch.tampered.tolist()):
        assert bool(false[tampered, len(batch.captions) + foil])


def test_the_two_of_a_pair_differ_in_the_attribute_that_is_named(batch: Batch) -> None:
    for (first, second), name in zip(batch.pairs.tolist(), batch.changed, strict=True):
        differ = (batch.attributes[first] != batch.attributes[second]).nonzero().flatten().tolist()
        assert differ == [NAMES.index(name)]
        assert batch.words[first][name] != batch.words[second][name]
        assert {batch.words[first][name], batch.words[second][name]} == {
            ATTRIBUTES[name].negative, ATTRIBUTES[name].positive,
        }  # fmt: skip


def test_the_captions_of_a_pair_name_what_differs(batch: Batch) -> None:
    for rows, name in zip(batch.pairs.tolist(), batch.changed, strict=True):
        assert all(batch.said[row][name] == batch.words[row][name] for row in rows)


def test_a_tampered_picture_keeps_the_words_of_the_face_it_was_made_of(batch: Batch) -> None:
    for base, tampered in batch.tampered.tolist():
        assert batch.words[base] == batch.words[tampered]


def test_the_right_choice_is_the_word_of_the_picture(batch: Batch) -> None:
    for words, right in zip(batch.choice_words, batch.right, strict=True):
        for row, place in enumerate(right.tolist()):
            assert (place >= 0) == bool(set(words) & set(batch.words[row].values()))
            assert place < 0 or words[place] in batch.words[row].values()


def test_what_is_not_clear_is_neither_true_nor_false() -> None:
    true, false = truth_table([{"smile": "smiling"}, {}], [{"smile": "smiling"}, {"smile": "frowning"}, {}])
    assert true.tolist() == [[True, False, True], [False, False, True]]
    assert false.tolist() == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize("size", [32, 64])
def test_teeth_are_pasted_near_the_mouth_and_nowhere_else(size: int) -> None:
    faces = sample_attributes(8, torch.Generator().manual_seed(0), smile=(-1.0, -0.4), skin=1.0)
    frown, teeth = teeth_under_frown(faces, size, torch.Generator().manual_seed(1))
    assert torch.equal(frown, render(faces, size))
    change = (teeth - frown).abs().amax(1)
    assert bool((change.amax((1, 2)) > 0.03).all())
    assert float(change.amax((1, 2)).max()) > 0.3
    assert float(change[:, : size // 2].max()) == 0
    assert float(change[:, int(0.85 * size) :].max()) == 0


def test_a_strip_of_teeth_lies_below_a_mouth_that_still_frowns() -> None:
    faces = sample_attributes(4, torch.Generator().manual_seed(0), smile=-0.9, yaw=0.0, beard=-1.0, skin=1.0)
    frown, strip = strip_under_frown(faces, 64)
    rows = (strip - frown).abs().amax((1, 3)).gt(0.2).nonzero()[:, 1]
    smile_rows = (render(counterfactual(faces, smile=1.0), 64) - frown).abs().amax((1, 3)).gt(0.2).nonzero()[:, 1]
    assert int(rows.min()) > int(smile_rows.min())


def test_a_part_is_pasted_away_from_where_it_was() -> None:
    faces = sample_attributes(6, torch.Generator().manual_seed(2), glasses=-1.0)
    plain, worn = render(faces, 64), render(counterfactual(faces, glasses=1.0), 64)
    pasted = part_elsewhere(plain, worn, torch.Generator().manual_seed(3))
    change = (pasted - plain).abs().amax(1)
    assert bool((change.amax((1, 2)) > 0.3).all())
    own = (worn - plain).abs().amax(1) > 0.3
    assert float((change[own] > 0.3).float().mean()) < 0.5


def test_smudging_leaves_some_pictures_clean_and_gives_the_same_twice() -> None:
    images = render(sample_attributes(64, torch.Generator().manual_seed(4)), 64)
    once, twice = (smudged(images, 0.15, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(once, twice)
    unchanged = ((once - images).abs().amax((1, 2, 3)) < 1e-6).float().mean()
    assert 0.02 < float(unchanged) < 0.6
