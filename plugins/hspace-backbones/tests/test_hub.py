"""Repositories of the hub, from a real server: whole, interrupted, corrupted, absent, half, offline."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from hspace import load_backbone
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.plugins import plugins
from hspace.store import weights_status

from .serving import ARGS, COMMIT, FACTS, NETWORK, REPO, Server, repository, small_unet

Offer = Callable[..., None]
WEIGHTS = f"/{REPO}/resolve/{COMMIT}/{NETWORK}"


@pytest.fixture
def hub(server: Server, offer: Offer, tmp_path: Path) -> Server:
    """A hub with one repository, and a card for it."""
    server.repositories[REPO] = repository(tmp_path / "made", small_unet())
    offer("small", **FACTS, repo=REPO, weights="download")
    return server


def status() -> str:
    return weights_status(plugins().find("backbones", "small"))


def fails(error: type[HspaceError], message: str, exit_code: int) -> None:
    with pytest.raises(error, match=message) as caught:
        load_backbone("small")
    assert caught.value.exit_code == exit_code
    assert status() == "download"


@torch.no_grad()
def assert_it_is_the_one(tmp_path: Path) -> None:
    x_t, t = torch.randn(1, 3, 16, 16), torch.tensor([300.0])
    torch.testing.assert_close(load_backbone("small")(x_t, t), load_backbone(tmp_path / "made")(x_t, t))


def test_a_repository_is_downloaded_once_and_then_cached(hub: Server, tmp_path: Path) -> None:
    assert status() == "download"
    assert_it_is_the_one(tmp_path)
    assert status() == "cached"
    asked = len(hub.requests)
    backbone = load_backbone("small")
    assert len(hub.requests) == asked
    assert backbone.card is not None
    assert (backbone.card.name, backbone.card.facts["licence"]) == ("small", "Apache-2.0")


def test_the_hubs_own_library_finds_it_in_its_cache(hub: Server, tmp_path: Path) -> None:
    load_backbone("small")
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPO, NETWORK, cache_dir=tmp_path / "hf" / "hub")
    assert isinstance(found, str)
    assert Path(found).read_bytes() == hub.repositories[REPO][NETWORK]
    assert not list((tmp_path / "hf").rglob("*.incomplete"))


def test_a_pinned_revision_is_the_one_that_is_asked_for(hub: Server, offer: Offer) -> None:
    offer("small", **FACTS, repo=REPO, revision=COMMIT)
    load_backbone("small")
    assert {path.split("/")[4] for _, path, _ in hub.requests} == {COMMIT}


def test_a_dropped_connection_is_taken_up_where_it_ended(hub: Server, tmp_path: Path) -> None:
    hub.drops[WEIGHTS] = [30_000, 20_000]
    assert_it_is_the_one(tmp_path)
    assert hub.ranges(NETWORK) == [None, "bytes=30000-", "bytes=50000-"]


def test_what_arrived_before_a_failure_is_not_downloaded_again(hub: Server, tmp_path: Path) -> None:
    hub.drops[WEIGHTS] = [30_000, 0, 0, 0, 0]
    fails(HspaceError, "the connection ended after 30000 of .* try again; what arrived is kept", 1)
    assert sum(path.stat().st_size for path in (tmp_path / "hf").rglob("*.incomplete")) == 30_000
    hub.requests.clear()
    hub.drops.clear()
    assert_it_is_the_one(tmp_path)
    assert hub.ranges(NETWORK) == ["bytes=30000-"]


def test_a_corrupted_file_is_refused_and_thrown_away(hub: Server, tmp_path: Path) -> None:
    hub.spoilt.add(WEIGHTS)
    fails(RefusedError, "is not the published file: its sha256 is .* Nothing of it was kept", 3)
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    hub.spoilt.clear()
    assert_it_is_the_one(tmp_path)


def test_a_file_other_than_the_published_one_is_refused_before_it_is_downloaded(hub: Server, offer: Offer) -> None:
    offer("small", **FACTS, repo=REPO, file=NETWORK, sha256="0" * 64, weights="download")
    fails(RefusedError, f"{NETWORK} of {REPO} is not the published one: sha256", 3)
    assert hub.ranges(NETWORK) == []


def test_an_absent_repository_is_not_found(hub: Server) -> None:
    hub.repositories.clear()
    fails(NotFoundError, f"there is no repository {REPO} at http://127.0.0.1:.* set HF_ENDPOINT", 4)


def test_an_absent_revision_is_not_found(hub: Server, offer: Offer) -> None:
    offer("small", **FACTS, repo=REPO, revision="v2", weights="download")
    fails(NotFoundError, f"{REPO} at .* has no revision v2", 4)


@pytest.mark.parametrize("name", ["config.json", "scheduler_config.json"])
def test_a_repository_without_one_of_its_files_is_not_found(hub: Server, name: str) -> None:
    lost = hub.repositories[REPO].pop(name)
    fails(NotFoundError, f"{REPO} at .* has no file {name}", 4)
    hub.repositories[REPO][name] = lost
    load_backbone("small")


def test_a_repository_without_weights_is_half_a_repository(hub: Server) -> None:
    del hub.repositories[REPO][NETWORK]
    fails(NotFoundError, r"has no file diffusion_pytorch_model\.bin .* It has no .*safetensors either.*half", 4)


@torch.no_grad()
def test_a_repository_with_torchs_archive_alone_is_downloaded(hub: Server, tmp_path: Path) -> None:
    del hub.repositories[REPO][NETWORK]
    torch.save(load_file(tmp_path / "made" / NETWORK), tmp_path / "archive")
    hub.repositories[REPO]["diffusion_pytorch_model.bin"] = (tmp_path / "archive").read_bytes()
    assert_it_is_the_one(tmp_path)
    assert status() == "cached"


def test_old_names_of_attentions_are_those_of_the_manifest(hub: Server, tmp_path: Path) -> None:
    weights = load_file(tmp_path / "made" / NETWORK)
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        weights = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in weights.items()}
    hub.repositories[REPO][NETWORK] = save(weights, {"format": "pt"})
    assert_it_is_the_one(tmp_path)


def test_a_network_other_than_the_cards_is_refused(hub: Server, tmp_path: Path) -> None:
    hub.repositories[REPO] = repository(tmp_path / "other", small_unet({**ARGS, "ch": 32}))
    with pytest.raises(RefusedError, match=r"not those of small: 'conv_in.weight' is \[32, 3, 3, 3\].*Delete"):
        load_backbone("small")


def test_a_file_cut_off_in_the_cache_is_refused(hub: Server, tmp_path: Path) -> None:
    load_backbone("small")
    (path,) = (tmp_path / "hf").rglob(NETWORK)
    os.truncate(path.resolve(), path.stat().st_size - 1)
    with pytest.raises(RefusedError, match=r"has \d+ bytes; its header says \d+\. Delete .*models--somebody--small"):
        load_backbone("small")


def test_offline_what_is_not_cached_is_not_found_and_nothing_is_asked(
    hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError, match=r"nothing is downloaded offline\. Leave away --offline and HF_HUB_OFFLINE"):
        load_backbone("small", offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fails(NotFoundError, "nothing is downloaded offline", 4)
    assert hub.requests == []


def test_offline_what_is_cached_loads(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_backbone("small")
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_it_is_the_one(tmp_path)
    load_backbone("small", offline=True)
    assert hub.requests == []


def test_offline_half_a_download_is_not_taken_for_whole(hub: Server) -> None:
    hub.drops[WEIGHTS] = [30_000, 0, 0, 0, 0]
    fails(HspaceError, "the connection ended", 1)
    with pytest.raises(NotFoundError, match="is not whole in the hub's cache"):
        load_backbone("small", offline=True)


def test_without_a_network_it_fails_and_says_so(hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        fails(HspaceError, f"could not download {REPO} from .*: .*refused.* Check the network", 1)


def test_a_repository_takes_no_file_of_weights(hub: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="small is a repository of the hub, not one file"):
        load_backbone("small", weights=tmp_path / "made" / NETWORK)
