"""`hspace compare`."""

from pathlib import Path

import pytest
from PIL import Image

from .conftest import Cli


@pytest.fixture
def bases(cli: Cli, planted: str) -> list[str]:
    """Local bases around two latents of the linear toy, which are the same, and one of another finder's settings."""
    call = ("discover", "--unsupervised", "--backbone", planted, "-k", 2, "--samples", 2, "--steps", 4, "--json")
    cli(*call, "--set", "bases=2")
    return [f"{planted}/local-t666-{sample}.jacobian-svd" for sample in (0, 1)]


def test_bases_around_two_samples_of_a_linear_backbone_are_the_same(cli: Cli, bases: list[str]) -> None:
    answer = cli("compare", *bases, "--json").json
    assert [one["dimensions"] for one in answer["subspaces"]] == [2, 2]
    (pair,) = answer["pairs"]
    assert pair["subspaces"] == bases
    assert max(pair["angles"]) < 0.01
    assert pair["geodesic"] < 0.01 < pair["random"]["geodesic"]
    assert pair["random"]["draws"] == 32
    assert answer["heat_map"] == "hspace-out/compare.png"
    with Image.open(answer["heat_map"]) as picture:
        assert min(picture.size) > 200


def test_components_of_one_basis_are_at_a_right_angle(cli: Cli, bases: list[str]) -> None:
    (pair,) = cli("compare", f"{bases[0]}#0", f"{bases[0]}#1", "--json").json["pairs"]
    assert pair["angles"] == [pytest.approx(3.14159 / 2, abs=1e-4)]


def test_people_get_a_row_for_each_pair(cli: Cli, bases: list[str]) -> None:
    answer = cli("compare", *bases, f"{bases[0]}#0", "--out", "maps/three.png")
    assert answer.code == 0
    assert len([line for line in answer.out.splitlines() if line.startswith("planted/")]) == 3
    assert "heat map: maps/three.png" in answer.out
    assert Path("maps/three.png").is_file()


def test_a_direction_with_one_timestep_is_not_compared_with_itself(cli: Cli, bases: list[str]) -> None:
    answer = cli("compare", bases[0])
    assert (answer.code, "Name another direction, or several timesteps with --at" in answer.err) == (2, True)
    assert not Path("hspace-out/compare.png").exists()


def test_backbones_of_different_h_are_refused(cli: Cli, bases: list[str]) -> None:
    other = "ddpmpp-toyfaces-32/middle.jacobian-svd"
    answer = cli("compare", bases[0], other)
    assert answer.code == 2
    assert f"{bases[0]} has 32x4x4, {other} 128x8x8" in answer.err


def test_an_unknown_direction_exits_with_4(cli: Cli, bases: list[str]) -> None:
    answer = cli("compare", bases[0], bases[1] + "x")
    assert (answer.code, "did you mean" in answer.err) == (4, True)
