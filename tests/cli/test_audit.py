"""`hspace audit`: groups of pictures compared."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hspace.audit.answer import markdown
from hspace.images import save_picture, to_picture
from hspace_toyfaces.source import ToyFaces

from .conftest import Answer, Cli

QUICK = ("--steps", 4, "--metrics", "psnr")


@pytest.fixture
def pictures(cli: Cli, tmp_path: Path) -> Path:
    """Ten bright pictures and six dark ones, with their labels."""
    folder = tmp_path / "pictures"
    lines = ["file,group"]
    for index, image in enumerate(ToyFaces(size=16).images(16)):
        name = f"{index:02d}.png"
        dark = index % 8 < 3
        save_picture(folder / name, to_picture(image * 0.2 - 0.8 if dark else image))
        lines.append(f"{name},{'dark' if dark else 'light'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def audited(cli: Cli, found: str, pictures: Path) -> Answer:
    return cli("audit", f"{found}#0=2", "--group", "labels.csv", "--images", pictures, *QUICK, "--json")


def test_it_compares_groups_of_equal_size_before_and_by_the_edit(audited: Answer) -> None:
    found = audited.json
    assert found["n"] == 6
    assert {name: len(some) for name, some in found["groups"].items()} == {"dark": 6, "light": 6}
    assert [(one["metric"], one["stage"]) for one in found["compared"]] == [("psnr", "before"), ("psnr", "edit")]
    for one in found["compared"]:
        (gap,) = one["gaps"]
        means = one["means"]
        assert gap["value"] == pytest.approx(means["dark"]["value"] - means["light"]["value"])
        assert all(mean["n"] == 6 and mean["low"] <= mean["value"] <= mean["high"] for mean in means.values())


def test_it_leaves_the_answer_a_table_and_a_sheet_of_the_worst_cases(audited: Answer) -> None:
    left = json.loads(Path("hspace-out/audit/audit.json").read_text())
    assert left == {key: value for key, value in audited.json.items() if key not in ("schema_version", "out")}
    assert Path("hspace-out/audit/audit.md").read_text() == markdown(left)
    assert Path("hspace-out/audit/worst.png").is_file()
    assert {name: len(some) for name, some in left["worst"]["cases"].items()} == {"dark": 4, "light": 4}


def test_the_worst_are_the_highest_or_lowest_of_the_metric_asked_for(cli: Cli, found: str, pictures: Path) -> None:
    call = ("audit", f"{found}#0=2", "--group", "labels.csv", "--images", pictures, *QUICK, "--json")
    cases: list[dict[str, float]] = [
        cli(*call, "--worst", by).json["worst"]["cases"]["light"] for by in ("psnr", "-psnr")
    ]
    assert list(cases[0].values()) == sorted(cases[0].values(), reverse=True)
    assert list(cases[1].values()) == sorted(cases[1].values())
    assert max(cases[1].values()) <= max(cases[0].values())


def test_an_audit_says_the_same_twice(cli: Cli, found: str, pictures: Path, audited: Answer) -> None:
    again = cli("audit", f"{found}#0=2", "--group", "labels.csv", "--images", pictures, *QUICK, "--json")
    assert again.json == audited.json


def test_no_edit_makes_no_gap_and_what_was_there_before_stays(cli: Cli, found: str, pictures: Path) -> None:
    call = (
        "--group",
        "labels.csv",
        "--images",
        pictures,
        "--steps",
        4,
        "--metrics",
        "identity",
        "--encoder",
        "toyclip",
    )
    compared = cli("audit", f"{found}#0=0", *call, "--json").json["compared"]
    means = [mean["value"] for one in compared if one["stage"] == "edit" for mean in one["means"].values()]
    assert means == pytest.approx([1, 1], abs=1e-5)
    assert all(gap["p"] == 1 for one in compared if one["stage"] == "edit" for gap in one["gaps"])
    assert any(gap["value"] != 0 for one in compared if one["stage"] == "before" for gap in one["gaps"])


def test_a_source_groups_its_pictures_by_an_attribute_that_it_knows(cli: Cli, found: str) -> None:
    call = ("--group", "skin", "--samples", 12, "--steps", 4, "--metrics", "flips", "--set", "flips.target=smile")
    answer = cli("audit", f"{found}#0=2", *call, "--json").json
    known = ToyFaces(seed=2**34).attributes(12)["skin"] > 0
    dark = [int(name.rpartition("-")[2]) for name in answer["groups"]["skin > 0"]]
    assert len(dark) == answer["n"] == min(int(known.sum()), int((~known).sum()))
    assert bool(known[torch.tensor(dark)].all())
    assert {one["metric"] for one in answer["compared"] if not one["detail"]} == {"flips", "spill"}
    assert {"flips.glasses", "flips.skin"} < {one["metric"] for one in answer["compared"] if one["detail"]}


def test_people_get_a_table_and_how_to_read_it(cli: Cli, found: str, pictures: Path) -> None:
    answer = cli("audit", f"{found}#0=2", "--group", "labels.csv", "--images", pictures, *QUICK)
    assert answer.code == 0
    for text in ("before any edit", "by the edit", "gap", "6 pictures of each group", "worst.png"):
        assert text in answer.out


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--group", "labels.csv"), 2, "with --images"),
        (("--group", "nobody.csv", "--images", "pictures"), 4, "there is no file nobody.csv"),
        (("--group", "unknown.csv", "--images", "pictures"), 4, "are of no picture among the 16: else.png"),
        (("--group", "skin", "--images", "pictures"), 2, "nobody knows 'skin' of picture files"),
        (("--group", "skn"), 4, "did you mean 'skin'"),
        (("--group", "skin", "--source", "toyfaces", "--set", "source.skew=skin=0"), 2, "at least 2 pictures"),
        (
            ("--group", "labels.csv", "--images", "pictures", "--metrics", "fid", "--encoder", "toyclip"),
            2,
            "no metric has a number for each",
        ),
        (("--group", "labels.csv", "--images", "pictures", "--worst", "psnt"), 4, "did you mean 'psnr'"),
    ],
)
def test_what_cannot_be_audited_says_why(
    cli: Cli, found: str, pictures: Path, tmp_path: Path, options: tuple[Any, ...], code: int, told: str
) -> None:
    (tmp_path / "unknown.csv").write_text("file,group\n00.png,a\nelse.png,b\n")
    rest = ("--steps", 4) if "--metrics" in options else QUICK
    answer = cli("audit", f"{found}#0=2", *options, *rest)
    assert (answer.code, told in answer.err) == (code, True), answer.err


def test_a_basis_is_not_audited_as_a_whole(cli: Cli, found: str) -> None:
    answer = cli("audit", found, "--group", "skin", *QUICK)
    assert answer.code == 2
    assert f"pick one to audit, as in '{found}#0'" in answer.err
