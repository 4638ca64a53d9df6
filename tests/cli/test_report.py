"""`hspace report`: one page on what a run left."""

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import Page, chromium, page
from PIL import Image

from hspace.images import save_picture

from .conftest import BACKBONE, Cli

HOSTILE = "<script>alert('x')</script> & \"quotes\""


class Read(HTMLParser):
    """All that a page's tags point to, the texts of its cells, and its headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pointed: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pointed += [str(value) for name, value in attributes if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What a run with a sheet, a small picture, a log and figures left, with names that want to be markup."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_picture(folder / "sheet.png", Image.linear_gradient("L").resize((900, 200)).convert("RGB"), "sheet")
    recipe = {"steps": 8, "seed": 3, "directions": [{"id": "a/b.c", "strength": 2.0, "sha256": "0" * 64}]}
    save_picture(folder / "one.png", Image.new("RGB", (32, 32), "teal"), json.dumps(recipe))
    save_picture(folder / "two.png", Image.new("RGB", (32, 32), "navy"), json.dumps({**recipe, "seed": 4}))
    lines = [{"images": 4.0 * i, "loss": 1 / i, "cpu_seconds": i} for i in range(1, 6)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figures = [{"name": "effect", "value": 0.123456, "n": 64}, {"name": HOSTILE, "value": None, "n": 8}]
    (folder / "result.json").write_text(json.dumps({"protocol": HOSTILE, "head": {"scale": 2}, "metrics": figures}))
    (folder / "weights.safetensors").write_bytes(b"0" * 2048)
    return folder


@pytest.fixture
def read(cli: Cli, run_folder: Path) -> Read:
    answer = cli("report", run_folder, "--json").json
    return Read(Path(answer["report"]).read_text())


def test_it_says_where_the_page_is_and_what_is_on_it(cli: Cli, run_folder: Path) -> None:
    answer = cli("report", run_folder, "--json").json
    assert Path(answer["report"]) == run_folder / "report.html"
    assert answer["bytes"] == (run_folder / "report.html").stat().st_size
    assert [answer[name] for name in ("pictures", "curves", "tables", "others")] == [3, 2, 3, 1]


def test_all_that_it_points_to_is_on_the_page(read: Read) -> None:
    assert {pointed.partition(":")[0] if ":" in pointed else pointed[0] for pointed in read.pointed} == {"data", "#"}


def test_the_pictures_are_there_byte_for_byte(read: Read, run_folder: Path) -> None:
    inlined = [base64.b64decode(one.partition("base64,")[2]) for one in read.pointed if one.startswith("data:")]
    assert set(inlined) == {path.read_bytes() for path in run_folder.glob("*.png")}


def test_names_and_values_are_never_markup(read: Read) -> None:
    assert "script" not in read.tags
    assert read.texts.count(HOSTILE) == 2


def test_every_setting_and_every_figure_is_in_a_table(read: Read) -> None:
    for text in ("head.scale", "2", "protocol", "effect", "0.1235", "64", "-", "steps", "8"):
        assert text in read.texts


def test_a_picture_tells_what_its_recipe_says_of_it_alone(read: Read) -> None:
    assert "seed 3" in read.texts
    assert "seed 4" in read.texts
    assert not any("sha256" in text for text in read.texts if "seed" in text)


def test_a_column_of_a_log_becomes_a_curve_that_starts_high_and_ends_low(cli: Cli, run_folder: Path) -> None:
    cli("report", run_folder)
    points = re.findall(r'<polyline points="([^"]+)"', (run_folder / "report.html").read_text())
    places = [[tuple(map(float, point.split(","))) for point in one.split()] for one in points]
    loss, cpu = places
    assert (loss[0], loss[-1]) == ((0.0, 0.0), (320.0, 150.0))  # y counts downwards
    assert (cpu[0], cpu[-1]) == ((0.0, 150.0), (320.0, 0.0))


def test_what_it_cannot_show_is_named(read: Read) -> None:
    assert "weights.safetensors" in read.texts


def test_a_second_report_takes_the_place_of_the_first(cli: Cli, run_folder: Path) -> None:
    first = cli("report", run_folder, "--json").json
    assert cli("report", run_folder, "--json").json == first


def test_another_file_is_not_written_over(cli: Cli, run_folder: Path) -> None:
    (run_folder / "mine.html").write_text("<p>mine</p>")
    answer = cli("report", run_folder, "--out", run_folder / "mine.html")
    assert answer.code == 3
    assert "is no report of hspace's" in answer.err
    assert (run_folder / "mine.html").read_text() == "<p>mine</p>"
    assert cli("report", run_folder, "--out", run_folder / "mine.html", "--force").code == 0


def test_no_folder_and_an_empty_one_are_not_found(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, told in (("nowhere", "but nothing"), ("file", "but a file"), ("empty", "nothing to report on")):
        answer = cli("report", name)
        assert (answer.code, told in answer.err) == (4, True)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b'{"a": ', "a.json is not JSON: Expecting value"),
        ("a.json", b"\xff\xfe", "a.json is not JSON"),
        ("a.json", b"[" * 100_000, "a.json is not JSON"),
        ("a.toml", b"a = ", "a.toml is not TOML"),
        ("a.jsonl", b'{"a": 1}\n{"a"\n', "a.jsonl, line 2, is not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1, is no JSON object"),
        ("a.png", b"\x89PNG\r\n", "a.png is not a picture"),
    ],
)
def test_a_broken_file_is_named_and_no_page_is_written(
    cli: Cli, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(content)
    answer = cli("report", "run")
    assert answer.code == 3
    assert told in answer.err
    assert not (tmp_path / "run" / "report.html").exists()


def test_what_discover_left_is_shown_with_all_its_settings(cli: Cli) -> None:
    cli("discover", "--unsupervised", "--backbone", BACKBONE, "-k", 2, "--samples", 1, "--steps", 4, "--out", "found")
    read = Read(Path(cli("report", "found", "--json").json["report"]).read_text())
    for text in ("backbone.id", BACKBONE, "provenance.finder", "jacobian-svd", "t_edit", "sigma", "residual"):
        assert text in read.texts


def test_what_edit_left_is_shown(cli: Cli, found: str, face: Path) -> None:
    cli("edit", face, "--direction", f"{found}#0", "--sweep", "-1:1:3", "--steps", 4, "--out", "edited")
    answer = cli("report", "edited", "--json").json
    assert answer["pictures"] == 4
    assert any("strength -1" in text for text in Read(Path(answer["report"]).read_text()).texts)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium is installed")
    with page(program, tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_in_a_browser_it_asks_for_nothing_shows_all_and_fits(
    cli: Cli, run_folder: Path, browser: Page, width: int, height: int
) -> None:
    path = Path(cli("report", run_folder, "--json").json["report"])
    browser.open(path, width, height)
    assert browser.requests() == [path.resolve().as_uri()]
    assert browser.evaluate("[...document.images].map(one => one.complete && one.naturalWidth > 0)") == [True] * 3
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("window.innerWidth") == width


def test_in_a_browser_the_colours_follow_the_reader(cli: Cli, run_folder: Path, browser: Page) -> None:
    path = Path(cli("report", run_folder, "--json").json["report"])
    colours = []
    for dark in (False, True):
        browser.open(path, 390, 844, dark)
        colours.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(250, 250, 248)", "rgb(21, 21, 24)"]
