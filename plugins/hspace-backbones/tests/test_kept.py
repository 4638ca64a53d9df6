"""Checkpoints of official code: by URL, from a real server, or brought by the user; converted once and kept."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hspace import load_backbone
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.plugins import plugins
from hspace.store import weights_status

from .serving import ARGS, FACTS, Server, checkpoint, official_weights, small_unet

Offer = Callable[..., None]
PATH = "/files/model.pt"


@pytest.fixture
def site(server: Server, offer: Offer, tmp_path: Path) -> Server:
    """A server with one checkpoint, and a card for it."""
    server.files[PATH] = checkpoint(tmp_path / "model.pt")
    offer("small", **FACTS, url=server.url + PATH, file="model.pt", weights="download")
    return server


@pytest.fixture
def own(server: Server, offer: Offer, tmp_path: Path) -> Path:
    """A card whose checkpoint only the user can bring, and the user's copy of it."""
    get = "cannot be downloaded: its link is dead. Give your copy with --weights model.pt"
    offer("small", **FACTS, file="model.pt", get=get, weights="bring-your-own")
    checkpoint(tmp_path / "mine.pt")
    return tmp_path / "mine.pt"


def status() -> str:
    return weights_status(plugins().find("backbones", "small"))


def kept(tmp_path: Path) -> list[str]:
    """The names of all that the cache holds of weights."""
    cache = tmp_path / "cache"
    paths = [*cache.glob("downloads/*/*"), *cache.glob("backbones/*/*")]
    return sorted(str(path.relative_to(cache)) for path in paths)


@torch.no_grad()
def assert_it_is_the_one(weights: Path | None = None, seed: int = 0) -> None:
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([300])
    eps = load_backbone("small", weights=weights)(x_t, t.float())
    torch.testing.assert_close(eps, small_unet(seed=seed)(x_t, t).sample)


def test_a_checkpoint_is_downloaded_and_converted_once(site: Server, tmp_path: Path) -> None:
    assert status() == "download"
    assert_it_is_the_one()
    assert status() == "cached"
    assert kept(tmp_path) == ["backbones/small/published"]
    asked = len(site.requests)
    backbone = load_backbone("small", offline=True)
    assert len(site.requests) == asked
    assert backbone.card is not None
    assert backbone.card.name == "small"


def test_a_dropped_connection_is_taken_up_where_it_ended(site: Server) -> None:
    site.drops[PATH] = [1000, 2000]
    assert_it_is_the_one()
    assert site.ranges() == [None, "bytes=1000-", "bytes=3000-"]


def test_what_arrived_before_a_failure_is_not_downloaded_again(site: Server) -> None:
    site.drops[PATH] = [1000, 0, 0, 0, 0]
    with pytest.raises(HspaceError, match=r"the connection ended after 1000 of .* what arrived is kept") as caught:
        load_backbone("small")
    assert caught.value.exit_code == 1
    assert status() == "download"
    site.requests.clear()
    site.drops.clear()
    assert_it_is_the_one()
    assert site.ranges() == ["bytes=1000-"]


def test_a_file_that_changed_on_the_server_is_downloaded_anew(site: Server, tmp_path: Path) -> None:
    site.drops[PATH] = [1000, 0, 0, 0, 0]
    with pytest.raises(HspaceError):
        load_backbone("small")
    site.files[PATH] = checkpoint(tmp_path / "other.pt", seed=1)
    site.requests.clear()
    site.drops.clear()
    assert_it_is_the_one(seed=1)
    assert site.ranges() == [None]


def test_a_file_that_nothing_identifies_is_downloaded_anew(site: Server) -> None:
    site.untagged.add(PATH)
    site.drops[PATH] = [1000]
    assert_it_is_the_one()
    assert site.ranges() == [None, None]


@pytest.mark.parametrize(
    ("facts", "message"),
    [({"sha256": "0" * 64}, "its sha256 is"), ({"md5": "0" * 32}, "its md5 is"), ({"bytes": 7}, "has 7$")],
)
def test_a_file_other_than_the_published_one_is_refused(
    site: Server, offer: Offer, tmp_path: Path, facts: dict[str, object], message: str
) -> None:
    offer("small", **FACTS, url=site.url + PATH, file="model.pt", weights="download", **facts)
    with pytest.raises(RefusedError, match=message):
        load_backbone("small")
    assert kept(tmp_path) == []


def test_the_published_file_is_recognised(site: Server, offer: Offer) -> None:
    data = site.files[PATH]
    known = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(), "bytes": len(data)}
    offer("small", **FACTS, url=site.url + PATH, file="model.pt", weights="download", **known)
    assert_it_is_the_one()


def test_a_page_in_place_of_the_file_is_refused_and_removed(site: Server, tmp_path: Path) -> None:
    site.files[PATH] = b"<html>Please log in</html>"
    with pytest.raises(RefusedError, match=r"is not small: .* The download was removed"):
        load_backbone("small")
    assert kept(tmp_path) == []


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_dead_link_is_not_found(site: Server, code: int) -> None:
    site.codes[PATH] = code
    with pytest.raises(NotFoundError, match=f"is not to be had: the server answers {code}") as caught:
        load_backbone("small")
    assert caught.value.exit_code == 4


def test_a_server_in_trouble_is_asked_again_and_then_reported(site: Server) -> None:
    site.codes[PATH] = 503
    with pytest.raises(HspaceError, match="the server answers 503") as caught:
        load_backbone("small")
    assert caught.value.exit_code == 1
    assert len(site.requests) == 4


def test_a_file_larger_than_the_disk_is_not_begun(site: Server, tmp_path: Path) -> None:
    site.sizes[PATH] = 10**17
    with pytest.raises(HspaceError, match=r"needs 100000000\.0 GB; .* Make room, or set HSPACE_CACHE"):
        load_backbone("small")
    assert site.ranges() == []


def test_offline_what_is_not_cached_is_not_found_and_nothing_is_asked(
    site: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError, match=r"not in the cache, .* or give your own copy with --weights model\.pt"):
        load_backbone("small", offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotFoundError, match="nothing is downloaded offline"):
        load_backbone("small")
    assert site.requests == []


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_checkpoint_inside_a_zip_is_unpacked(site: Server, offer: Offer, tmp_path: Path, compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", compression) as archive:
        archive.write(tmp_path / "model.pt", "model.ckpt")
    site.files["/files/model.zip"] = (tmp_path / "model.zip").read_bytes()
    offer(
        "small", **FACTS, url=f"{site.url}/files/model.zip", file="model.zip", member="model.ckpt", weights="download"
    )
    assert_it_is_the_one()
    assert kept(tmp_path) == ["backbones/small/published"]
    assert_it_is_the_one(weights=tmp_path / "model.zip")
    assert_it_is_the_one(weights=tmp_path / "model.pt")


def test_a_zip_that_unpacks_to_far_more_is_refused(own: Path, offer: Offer, tmp_path: Path) -> None:
    offer("small", **FACTS, file="model.zip", member="model.ckpt")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.ckpt", bytes(10**6))
    with pytest.raises(RefusedError, match="compressed far more than weights can be"):
        load_backbone("small", weights=tmp_path / "bomb.zip")


def test_a_card_whose_link_is_dead_says_so_and_what_to_do(own: Path) -> None:
    assert status() == "bring-your-own"
    with pytest.raises(NotFoundError, match=r"its link is dead\. Give your copy with --weights model\.pt"):
        load_backbone("small")


def test_the_users_own_file_is_converted_once_whatever_its_name(own: Path, tmp_path: Path) -> None:
    assert_it_is_the_one(weights=own)
    (folder,) = (tmp_path / "cache" / "backbones" / "small").iterdir()
    made = folder.stat().st_mtime_ns
    assert_it_is_the_one(weights=own.rename(tmp_path / "renamed.ckpt"))
    assert list((tmp_path / "cache" / "backbones" / "small").iterdir()) == [folder]
    assert folder.stat().st_mtime_ns == made
    assert status() == "cached"
    assert_it_is_the_one()


def test_of_two_files_of_the_users_the_plain_name_says_neither(own: Path, tmp_path: Path) -> None:
    checkpoint(tmp_path / "second.pt", seed=1)
    assert_it_is_the_one(weights=own)
    assert_it_is_the_one(weights=tmp_path / "second.pt", seed=1)
    assert status() == "cached"
    with pytest.raises(UsageError, match="several files were brought as small; say which with --weights"):
        load_backbone("small")


def test_the_users_own_file_never_passes_for_the_published_one(site: Server, tmp_path: Path) -> None:
    checkpoint(tmp_path / "tuned.pt", seed=1)
    assert_it_is_the_one(weights=tmp_path / "tuned.pt", seed=1)
    assert site.requests == []
    assert status() == "download"
    assert_it_is_the_one()


def test_a_file_of_another_model_is_refused_and_nothing_is_kept(own: Path, tmp_path: Path) -> None:
    torch.save(official_weights({**ARGS, "ch": 32}), own)
    with pytest.raises(RefusedError, match=r"The file shows ch = 32 \(16 was given\)"):
        load_backbone("small", weights=own)
    assert kept(tmp_path) == []
    assert status() == "bring-your-own"


def test_a_file_that_is_not_there_is_not_found(own: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*nowhere\.pt; --weights takes a copy of model\.pt"):
        load_backbone("small", weights=tmp_path / "nowhere.pt")


def test_a_backbone_with_weights_of_its_own_takes_no_file(own: Path) -> None:
    name = next(card.name for card in plugins().cards("backbones") if card.facts.get("weights") == "bundled")
    with pytest.raises(UsageError, match=f"backbone '{name}' takes no file of weights"):
        load_backbone(name, weights=own)
    with pytest.raises(UsageError, match="is a folder with weights of its own"):
        load_backbone(own.parent, weights=own)


def test_what_a_killed_conversion_left_is_cleared(own: Path, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "backbones" / "small" / ".hspace-killed"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    assert status() == "bring-your-own"
    assert_it_is_the_one(weights=own)
    assert not left.exists()
