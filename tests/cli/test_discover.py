"""`hspace discover`."""

from pathlib import Path

from PIL import Image

from hspace import registry
from hspace.meta import WEIGHTS_FILE
from hspace.storage import sha256

from .conftest import BACKBONE, Cli

QUICK = ("-k", 2, "--samples", 1, "--steps", 4)
CALL = ("discover", "--unsupervised", "--backbone", BACKBONE, *QUICK)


def test_it_answers_with_directions_a_sheet_and_the_seconds(cli: Cli) -> None:
    answer = cli(*CALL, "--json").json
    assert [set(one) for one in answer["directions"]] == [{"id", "path", "sigma", "residual"}] * 2
    assert answer["directions"][0]["sigma"] >= answer["directions"][1]["sigma"] > 0
    assert answer["seconds"] > 0
    with Image.open(answer["sheet"]) as sheet:
        assert sheet.width > sheet.height


def test_what_it_found_is_in_the_registry_with_a_preview(cli: Cli, found: str) -> None:
    listed = {one["id"]: one for one in cli("list-directions", "--json").json["directions"]}
    assert listed[found]["components"] == 2
    assert (Path(listed[found]["path"]) / "preview.png").is_file()
    assert cli("verify", found).code == 0


def test_the_spectrum_lies_beside_the_sheet(cli: Cli, planted: str) -> None:
    call = ("discover", "--unsupervised", "--backbone", planted, *QUICK)
    answer = cli(*call, "--json").json
    assert answer["spectrum"] == answer["sheet"].removesuffix(".png") + ".spectrum.png"
    assert Path(answer["spectrum"]).is_file()
    assert f"spectrum: {answer['spectrum']}" in cli(*call).out
    assert "spectrum" not in cli("discover", "--unsupervised", "--backbone", planted, "-k", 1, "--json").json


def test_a_find_can_be_named(cli: Cli, planted: str) -> None:
    answer = cli("discover", "--unsupervised", "--backbone", planted, *QUICK, "--name", "my-find", "--json").json
    assert [one["id"] for one in answer["directions"]] == [f"{planted}/my-find.jacobian-svd#{k}" for k in (0, 1)]


def test_a_name_that_is_no_name_is_refused(cli: Cli) -> None:
    answer = cli(*CALL, "--name", "../escape")
    assert answer.code == 2
    assert "small letters, digits, - and _; '../escape' was given" in answer.err


def test_the_same_seed_gives_the_same_bytes(cli: Cli, found: str) -> None:
    before = (registry.find(found).folder / WEIGHTS_FILE).read_bytes()
    (one, _) = cli(*CALL, "--json").json["directions"]
    assert (Path(one["path"]) / WEIGHTS_FILE).read_bytes() == before


def test_pictures_are_inverted_and_named_by_their_sha256(cli: Cli, planted: str, face: Path) -> None:
    answer = cli("discover", "--unsupervised", "--backbone", planted, *QUICK, "--images", face, "--json")
    (direction,) = cli("show", answer.json["directions"][0]["id"], "--json").json["found"]
    assert direction["scope"]["image_sha256"] == sha256(face)


def test_without_a_way_to_look_it_says_how(cli: Cli) -> None:
    answer = cli("discover", "--backbone", BACKBONE)
    assert answer.code == 2
    assert "--unsupervised, --from and --to, or --finder" in answer.err


def test_an_unknown_finder_exits_with_4(cli: Cli) -> None:
    answer = cli("discover", "--finder", "jacobian", "--backbone", BACKBONE)
    assert answer.code == 4
    assert "did you mean 'jacobian-svd'" in answer.err


def test_an_unknown_setting_names_those_there_are(cli: Cli) -> None:
    answer = cli(*CALL, "--set", "tolerance=0.1")
    assert answer.code == 2
    assert "has no setting 'tolerance'; it takes k, at, t_edit, map, mask, pool, null, tol, " in answer.err


def test_a_setting_of_another_type_is_refused(cli: Cli) -> None:
    answer = cli(*CALL, "--set", "tol=small")
    assert answer.code == 2
    assert "--set tol" in answer.err


def test_a_family_without_weights_asks_for_a_folder(cli: Cli) -> None:
    answer = cli("discover", "--unsupervised", "--backbone", "ddpmpp")
    assert answer.code == 2
    assert "needs folder" in answer.err


def test_pictures_inverted_before_come_from_the_cache(cli: Cli, face: Path) -> None:
    call = ("discover", "--unsupervised", *QUICK, "--images", face)
    assert cli(*call, "--json").json["pictures"] == {"inverted": 1, "from_cache": 0, "skipped": []}
    assert "1 pictures, 1 of them inverted before; 0 left out" in cli(*call).out


def test_a_source_is_inverted_like_pictures(cli: Cli) -> None:
    call = ("discover", "--unsupervised", *QUICK, "--source", "toyfaces", "--set", "source.seed=3", "--json")
    assert cli(*call).json["pictures"] == {"inverted": 1, "from_cache": 0, "skipped": []}


def test_a_broken_picture_is_left_out_and_told_on_stderr(cli: Cli, face: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("not a picture")
    answer = cli("discover", "--unsupervised", *QUICK, "--images", face, "--images", tmp_path / "broken.png", "--json")
    assert answer.code == 0
    assert f"warning: {tmp_path / 'broken.png'} is not a picture" in answer.err
    assert "Warning" not in answer.err
    (skipped,) = answer.json["pictures"]["skipped"]
    assert skipped["path"] == str(tmp_path / "broken.png")


def test_nothing_but_broken_pictures_exits_with_3(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("not a picture")
    answer = cli("discover", "--unsupervised", *QUICK, "--images", tmp_path / "broken.png")
    assert answer.code == 3
    assert "none of the 1 pictures can be read" in answer.err


def test_two_places_of_pictures_are_one_too_many(cli: Cli, face: Path) -> None:
    answer = cli("discover", "--unsupervised", *QUICK, "--images", face, "--source", "toyfaces")
    assert (answer.code, "give one of them" in answer.err) == (2, True)
    answer = cli("discover", "--unsupervised", *QUICK, "--set", "source.seed=3")
    assert (answer.code, "name it with --source" in answer.err) == (2, True)


def test_a_finder_that_cannot_say_what_it_costs_says_so(cli: Cli) -> None:
    answer = cli("discover", "--unsupervised", *QUICK, "--estimate")
    assert answer.code == 2
    assert "'jacobian-svd' cannot say what it costs" in answer.err


def test_prompts_that_are_empty_or_the_same_are_refused(cli: Cli) -> None:
    answer = cli("discover", "--from", "a face", "--to", "  ", "--backbone", BACKBONE)
    assert (answer.code, "--to needs a prompt" in answer.err) == (2, True)
    answer = cli("discover", "--from", "a face", "--to", " a  face", "--backbone", BACKBONE)
    assert (answer.code, "there is no direction between them" in answer.err) == (2, True)
