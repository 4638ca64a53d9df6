"""Groups compared: what is a difference, and what is not."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.audit.gaps import ROUNDS, compare
from hspace.audit.groups import grouped, of_equal_size, read_labels
from hspace.errors import HspaceWarning, NotFoundError, RefusedError, UsageError

NAMES = ["dark"] * 12 + ["light"] * 40


def drawn(seed: int, n: int = len(NAMES), spread: float = 1.0) -> dict[str, Tensor]:
    """Five metrics of n pictures that hang together, two of them skewed, one a share; no group differs in the mean."""
    generator = torch.Generator().manual_seed(seed)
    common, own = torch.randn(n, generator=generator), torch.randn(5, n, generator=generator)
    one = own + 0.5 * common
    spreads = torch.tensor([spread if name == "dark" else 1.0 for name in NAMES])
    return {
        "normal": one[0],
        "uneven": one[1] * spreads,
        "skewed": one[2].exp(),
        "longer": one[3].abs() ** 3,
        "share": (one[4] > 0).float(),
    }


def alarms(seeds: range, spread: float = 1.0, shift: float = 0.0) -> int:
    """How many simulated audits find any difference, each at the size of its smallest group."""
    files = {name: [Path(f"{at}") for at, one in enumerate(NAMES) if one == name] for name in ("dark", "light")}
    found = 0
    for seed in seeds:
        chosen = [int(path.name) for some in of_equal_size(files, None, seed).values() for path in some]
        columns = {name: column[chosen] for name, column in drawn(seed, spread=spread).items()}
        columns["normal"] = columns["normal"] + shift * torch.tensor([NAMES[at] == "dark" for at in chosen])
        compared = compare(columns, [NAMES[at] for at in chosen], seed)
        found += any(gap.found for one in compared for gap in one.gaps)
    return found


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_groups_of_unequal_size_without_a_difference_show_none(spread: float) -> None:
    assert alarms(range(100), spread) <= 8


def test_groups_that_are_not_cut_to_one_size_show_none_either() -> None:
    found = sum(
        any(gap.found for one in compare(drawn(seed), NAMES, seed) for gap in one.gaps) for seed in range(100, 200)
    )
    assert found <= 8


def test_a_difference_that_is_there_is_found() -> None:
    assert alarms(range(30), shift=2.5) >= 27


def test_a_mean_and_a_gap_are_what_they_should_be() -> None:
    values = torch.tensor([1.0, 3.0, 2.0, 4.0, 6.0, 5.0])
    (one,) = compare({"m": values}, ["a", "a", "a", "b", "b", "b"])
    assert (one.means["a"].value, one.means["a"].n, one.means["b"].value) == (2, 3, 5)
    (gap,) = one.gaps
    assert (gap.one, gap.other, gap.value) == ("a", "b", -3)
    assert gap.low < -3 < gap.high < 0


def test_the_same_numbers_in_both_groups_are_no_difference() -> None:
    values = torch.arange(10.0)
    (one,) = compare({"m": torch.cat([values, values])}, ["a"] * 10 + ["b"] * 10)
    assert (one.gaps[0].value, one.gaps[0].p) == (0, 1)


def test_groups_that_do_not_vary_and_differ_are_told_apart() -> None:
    (one,) = compare({"m": torch.tensor([0.0] * 8 + [1.0] * 8)}, ["a"] * 8 + ["b"] * 8)
    assert one.gaps[0].p <= 2 / (1 + ROUNDS) + 1e-12
    assert (one.gaps[0].low, one.gaps[0].high) == (-1, -1)


def test_a_clear_difference_is_as_rare_as_the_draws_can_say() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.cat([torch.randn(30, generator=generator), torch.randn(30, generator=generator) + 5])
    noise = torch.randn(60, generator=generator)
    clear, none = compare({"clear": values, "noise": noise}, ["a"] * 30 + ["b"] * 30)
    assert clear.gaps[0].p == pytest.approx(1 / (1 + ROUNDS))
    assert not none.gaps[0].found


def test_more_metrics_make_a_difference_less_surprising() -> None:
    generator = torch.Generator().manual_seed(3)
    values = {f"{at}": torch.randn(24, generator=generator) for at in range(20)}
    groups = ["a"] * 12 + ["b"] * 12
    together = {one.metric: one.gaps[0].p for one in compare(values, groups)}
    assert all(together[name] >= compare({name: column}, groups)[0].gaps[0].p for name, column in values.items())


def test_three_groups_have_three_gaps() -> None:
    (one,) = compare({"m": torch.arange(12.0)}, ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    assert [(gap.one, gap.other, gap.value) for gap in one.gaps] == [("a", "b", -4), ("a", "c", -8), ("b", "c", -4)]


def test_pictures_without_a_number_are_left_out_and_a_group_without_any_has_no_gap() -> None:
    values = torch.tensor([1.0, 3.0, math.nan, 2.0, 4.0, math.nan])
    lonely = torch.tensor([1.0, 3.0, 2.0, math.nan, math.nan, 5.0])
    one, other = compare({"m": values, "n": lonely}, ["a"] * 3 + ["b"] * 3)
    assert [(mean.value, mean.n) for mean in one.means.values()] == [(2, 2), (3, 2)]
    assert list(other.means) == ["a"]
    assert other.gaps == ()


def test_the_interval_of_a_mean_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        values = torch.randn(80, generator=torch.Generator().manual_seed(seed))
        mean = compare({"m": values}, ["a"] * 40 + ["b"] * 40, seed)[0].means["a"]
        held += mean.low <= 0 <= mean.high
    assert 88 <= held <= 99


def labels(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_labels_are_read_by_file_name(tmp_path: Path) -> None:
    assert read_labels(labels(tmp_path, "file,group\na.png,dark\n\nb.png, light\n")) == {
        "a.png": "dark",
        "b.png": "light",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,group\n", "labels nothing"),
        ("file,group\na.png\n", r"labels\.csv, line 2: a file's name and its group"),
        ("file,group\na.png,\n", "line 2"),
        ("file,group\na.png,x\na.png,y\n", r"line 3: a\.png stands there twice"),
    ],
)
def test_what_is_no_labels_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        read_labels(labels(tmp_path, text))


def test_a_labels_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_labels(tmp_path / "labels.csv")


def test_a_label_of_no_picture_is_an_error() -> None:
    with pytest.raises(NotFoundError, match=r"1 of 2 labels are of no picture among the 1: b\.png"):
        grouped([Path("a.png")], {"a.png": "x", "b.png": "y"})


def test_a_picture_without_a_label_is_left_out_and_told() -> None:
    with pytest.warns(HspaceWarning, match="1 of 2 pictures have no label"):
        assert grouped([Path("a.png"), Path("b.png")], {"a.png": "x"}) == {"x": [Path("a.png")]}


def test_groups_are_cut_to_the_smallest_by_the_seed() -> None:
    groups = {"b": [Path(f"{at:02d}") for at in range(30)], "a": [Path("x"), Path("y")]}
    cut = of_equal_size(groups, None, seed=0)
    assert [len(files) for files in cut.values()] == [2, 2]
    assert cut["a"] == groups["a"]
    assert of_equal_size(groups, None, seed=0) == cut
    assert of_equal_size(groups, None, seed=1)["b"] != cut["b"]


@pytest.mark.parametrize(
    ("groups", "told"),
    [({"a": [Path("x"), Path("y")]}, "two groups or more; the labels have 1: a"),
     ({"a": [Path("x")], "b": [Path("y"), Path("z")]}, "'a' has 1")],
)  # fmt: skip
def test_groups_that_cannot_be_compared_are_refused(groups: dict[str, list[Path]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        of_equal_size(groups, None, 0)
