"""`hspace interference`: what directions do to one another."""

from pathlib import Path

import pytest
from PIL import Image

from .conftest import Cli

STEPS = ("--steps", 4)


def test_it_measures_pairs_changes_and_departure_and_draws_a_sheet(cli: Cli, found: str) -> None:
    ids = [f"{found}#0", f"{found}#1"]
    call = ("interference", "--direction", f"{ids[0]}=4", "--direction", f"{ids[1]}=-2", "--samples", 2, *STEPS)
    answer = cli(*call, "--json").json
    assert [(one["id"], one["strength"]) for one in answer["directions"]] == [(ids[0], 4.0), (ids[1], -2.0)]
    (pair,) = answer["pairs"]
    assert pair["directions"] == ids
    assert pair["cosine"] == pytest.approx(0, abs=1e-5)  # singular vectors are orthogonal
    assert max(map(int, pair["cosines"])) == 999
    assert answer["departure"] > 0
    assert answer["pictures"] == 2
    assert Path(answer["sheet"]).is_file()


def test_a_direction_given_twice_is_refused(cli: Cli, found: str, face: Path) -> None:
    answer = cli("interference", face, "--direction", f"{found}#0=1", "--direction", f"{found}#0=-1", *STEPS)
    assert answer.code == 2
    assert "given twice" in answer.err


def test_people_get_two_small_tables(cli: Cli, found: str, face: Path) -> None:
    answer = cli("interference", face, "--direction", f"{found}#0=4", "--direction", f"{found}#1=4", *STEPS)
    assert answer.code == 0
    for text in ("change alone", "all together", "cosine of delta_h", "departure from the sum of each alone", "sheet:"):
        assert text in answer.out


def test_one_direction_interferes_with_nothing(cli: Cli, found: str) -> None:
    answer = cli("interference", "--direction", f"{found}#0=4", *STEPS)
    assert answer.code == 2
    assert "two directions or more; 1 given" in answer.err


def test_its_sheet_never_takes_the_place_of_another_picture(cli: Cli, found: str, face: Path) -> None:
    Path("kept").mkdir()
    Image.open(face).save("kept/interference.png")
    call = ("interference", "--direction", f"{found}#0=4", "--direction", f"{found}#1=4", *STEPS, "--out", "kept")
    answer = cli(*call)
    assert answer.code == 3
    assert "exists and is another picture" in answer.err
