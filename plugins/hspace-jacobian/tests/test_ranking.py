"""Which pictures are at the ends."""

import pytest
import torch

from hspace.errors import UsageError
from hspace_jacobian.ranking import ends, pairs


def test_two_labels_put_every_picture_at_one_end() -> None:
    plus, minus = ends(torch.tensor([1.0, -1, 1, 1, -1]), None)
    assert (plus.tolist(), sorted(minus.tolist())) == ([0, 2, 3], [1, 4])


def test_many_labels_compare_a_quarter_at_each_end() -> None:
    plus, minus = ends(torch.tensor([3.0, 8, 1, 5, 2, 7, 4, 6]), None)
    assert (plus.tolist(), minus.tolist()) == ([1, 5], [2, 4])


def test_n_takes_so_many_and_the_most_extreme_first() -> None:
    plus, minus = ends(torch.tensor([3.0, 8, 1, 5, 2, 7]), 3)
    assert (plus.tolist(), minus.tolist()) == ([1, 5, 3], [2, 4, 0])


@pytest.mark.parametrize(("labels", "n"), [([1.0, 1, 1, 1, 0], 2), ([2.0, 2, 2], None)])
def test_labels_that_are_the_same_at_both_ends_are_refused(labels: list[float], n: int | None) -> None:
    with pytest.raises(UsageError, match="do not tell"):
        ends(torch.tensor(labels), n)


def test_more_at_each_end_than_half_the_pictures_are_refused() -> None:
    with pytest.raises(UsageError, match="n=3 pictures at each end need 6 pictures; there are 4"):
        ends(torch.tensor([1.0, 2, 3, 4]), 3)


def test_in_a_pair_the_higher_label_is_plus_whichever_comes_first() -> None:
    plus, minus = pairs(torch.tensor([0.0, 1, 5, 2, 0, 2]), None)
    assert (plus.tolist(), minus.tolist()) == ([2, 5, 1], [3, 4, 0])
    plus, minus = pairs(torch.tensor([0.0, 1, 5, 2, 0, 2]), 1)
    assert (plus.tolist(), minus.tolist()) == ([2], [3])


def test_pairs_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="3 leave one over"):
        pairs(torch.tensor([0.0, 1, 2]), None)
    with pytest.raises(UsageError, match="pictures 2 and 3 are a pair, but have the same label"):
        pairs(torch.tensor([0.0, 1, 2, 2]), None)
    with pytest.raises(UsageError, match="n=3 pairs were asked for; there are 2"):
        pairs(torch.tensor([0.0, 1, 2, 3]), 3)
