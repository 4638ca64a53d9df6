"""`hspace pull`: published directions, from a real server on loopback."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hspace import registry
from hspace.plugins import Plugins
from hspace.storage import cache_folder
from hspace.testing import write_plugin as write_plugin

from .asyrp_files import WINDOW, trained
from .conftest import BACKBONE, Cli
from .web import Web, serving

SHARED = Path(__file__).parents[3] / "shared" / "official-directions"
SMILING = SHARED / "smiling_LC_CelebA_HQ_t999_ninv40_ngen40_0.pth"
FILE = "wink.pth"
CALL = ("pull", "mine/wink", "--backbone", BACKBONE, *WINDOW)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture
def listed(cli: Cli, web: Web, tmp_path: Path, write_plugin: Callable[[str, str], Plugins]) -> bytes:
    """The bytes of a direction that a zoo lists at the server."""
    data = trained(tmp_path / FILE).read_bytes()
    one = {"file": FILE, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "backbone": BACKBONE}
    one |= {"family": "ddpmpp", "prompts": ["face", "winking face"]}
    content = {"format": 1, "source": "me", "licence": "0BSD", "url": f"{web.url}/", "directions": {"wink": one}}
    (tmp_path / "zoo" / "remote").mkdir(parents=True)
    (tmp_path / "zoo" / "remote" / "mine.json").write_text(json.dumps(content))
    source = f"import hspace\n@hspace.hookimpl\ndef hspace_zoos(): return [{str(tmp_path / 'zoo')!r}]\n"
    write_plugin("keeper", source)
    web.files[f"/{FILE}"] = data
    return data


def own() -> list[str]:
    return [entry.id for entry in registry.entries() if entry.owner == "user"]


def cached() -> list[str]:
    return sorted(path.name for path in (cache_folder() / "remote").rglob("*") if path.is_file())


def test_the_35_published_directions_are_listed_with_url_sha256_and_prompts(cli: Cli) -> None:
    found = {one["name"]: one for one in cli("pull", "--json").json["published"]}
    assert len([name for name in found if name.startswith("asyrp-official/")]) == 35
    smiling = found["asyrp-official/smiling"]
    assert smiling["url"].endswith("/checkpoint/smiling_LC_CelebA_HQ_t999_ninv40_ngen40_0.pth")
    assert smiling["sha256"].startswith("6694632ef848")
    assert (smiling["prompts"], smiling["family"]) == (["face", "smiling face"], "ddpmpp")
    assert "asyrp-official/dog_wolf" in cli("pull").out


def test_a_direction_is_fetched_checked_and_imported(cli: Cli, web: Web, listed: bytes) -> None:
    answer = cli(*CALL, "--json")
    assert answer.code == 0, answer.err
    assert own() == [f"{BACKBONE}/wink.asyrp-official"]
    provenance = answer.json["direction"]["provenance"]
    assert provenance["source"] == f"{web.url}/{FILE}"
    assert provenance["source_sha256"] == hashlib.sha256(listed).hexdigest()


def test_what_is_in_the_cache_is_not_fetched_again(cli: Cli, web: Web, listed: bytes) -> None:
    assert cli(*CALL).code == 0
    web.asked.clear()
    assert cli(*CALL, "--offline").code == 0
    assert web.asked == []


def test_a_damaged_file_in_the_cache_is_fetched_again(cli: Cli, web: Web, listed: bytes) -> None:
    assert cli(*CALL).code == 0
    (path,) = (cache_folder() / "remote").rglob(FILE)
    path.write_bytes(listed[:-1] + b"!")
    web.asked.clear()
    assert cli(*CALL).code == 0
    assert [method for method, _, _ in web.asked] == ["HEAD", "GET"]
    assert path.read_bytes() == listed


def test_a_dropped_connection_goes_on_where_it_ended(cli: Cli, web: Web, listed: bytes) -> None:
    web.drops = [1000, 3000]
    assert cli(*CALL).code == 0
    assert [wanted for method, _, wanted in web.asked if method == "GET"] == [None, "bytes=1000-", "bytes=3000-"]


def test_other_bytes_than_the_listed_ones_are_refused_and_not_kept(cli: Cli, web: Web, listed: bytes) -> None:
    web.files[f"/{FILE}"] = listed[:-1] + b"!"
    answer = cli(*CALL)
    assert answer.code == 3
    assert "is not the published file: its sha256 is" in answer.err
    assert (own(), cached()) == ([], [])


def test_a_mirror_is_asked_in_place_of_the_lists_own_url(cli: Cli, web: Web, listed: bytes) -> None:
    web.files = {f"/mirror/{FILE}": listed}
    assert cli(*CALL).code == 4
    answer = cli(*CALL, "--from", f"{web.url}/mirror")
    assert answer.code == 0, answer.err


def test_offline_without_the_file_says_what_to_do(cli: Cli, web: Web, listed: bytes) -> None:
    answer = cli(*CALL, "--offline")
    assert answer.code == 4
    assert "mine/wink is not in the cache, and nothing is downloaded offline" in answer.err
    assert web.asked == []


def test_the_hubs_offline_variable_is_obeyed(
    cli: Cli, web: Web, listed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert cli(*CALL).code == 4
    assert web.asked == []


def test_an_unknown_name_is_answered_with_the_nearest(cli: Cli) -> None:
    answer = cli("pull", "asyrp-official/smilling")
    assert answer.code == 4
    assert "did you mean 'asyrp-official/smiling'" in answer.err


def test_a_list_that_is_not_sound_is_refused(cli: Cli, listed: bytes, tmp_path: Path) -> None:
    (tmp_path / "zoo" / "remote" / "mine.json").write_text('{"format": 2}')
    answer = cli("pull")
    assert answer.code == 3
    assert "mine.json is not a list of published directions: format: Input should be 1" in answer.err


@pytest.mark.skipif(not SMILING.is_file(), reason="the published files are not beside this checkout")
def test_the_published_smile_is_pulled(cli: Cli, web: Web) -> None:
    web.files[f"/{SMILING.name}"] = SMILING.read_bytes()
    web.drops = [1_000_000]
    answer = cli("pull", "asyrp-official/smiling", "--from", web.url)
    assert answer.code == 0, answer.err
    assert own() == ["sdedit-celebahq/smiling.asyrp-official"]
    assert "next: hspace pull asyrp-official/smiling --weights FILE, your copy" in answer.out
