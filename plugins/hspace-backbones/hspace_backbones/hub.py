"""Repositories of the hub: in its own cache, which diffusers shares, and resumed, which its library does not do."""

import os
import re
from pathlib import Path
from typing import Any

from hspace.cards import Card
from hspace.errors import HspaceError, NotFoundError, RefusedError

SAFE, ARCHIVED = ".safetensors", ".bin"
"""How files of weights end; where a repository has no safetensors, torch's archive is taken."""
NETWORK = "diffusion_pytorch_model.safetensors"
FILES = {
    "ddpmpp": ("config.json", "scheduler_config.json", NETWORK),
    "ldm": (
        "unet/config.json",
        "vqvae/config.json",
        "scheduler/scheduler_config.json",
        f"unet/{NETWORK}",
        f"vqvae/{NETWORK}",
    ),
}
"""The files of a repository of each family, unless the card's facts name others in `files`."""
YES = ("1", "ON", "TRUE", "YES")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to use the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in YES


def cache() -> Path:
    """The hub's cache: HF_HUB_CACHE, else `hub` in HF_HOME."""
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{above}/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()


def files(card: Card) -> tuple[str, ...]:
    """The files that a card's repository must have; one that ends in .safetensors may end in .bin there."""
    return tuple(card.facts.get("files") or FILES[card.facts["family"]])


def find(card: Card) -> Path | None:
    """The snapshot in the hub's cache that has all files of a card, None when there is none."""
    repository, revision = _repository(card), card.facts.get("revision", "main")
    ref = repository / "refs" / revision
    snapshot = repository / "snapshots" / (ref.read_text().strip() if ref.is_file() else revision)
    return snapshot if all(_there(snapshot / name) for name in files(card)) else None


def fetch(card: Card, offline: bool) -> Path:
    """The snapshot with all files of a card, downloaded where it is not in the cache, its networks checked.

    Raises NotFoundError when the repository, its revision or a file of it is absent, or when it is not in the cache
    and `offline`; RefusedError when it does not hold what the card says; HspaceError when the network or the disk
    fails.
    """
    from hspace_backbones import manifest

    snapshot = find(card)
    if snapshot is None and offline:
        raise NotFoundError(
            f"{card.facts['repo']} is not whole in the hub's cache ({cache()}), and nothing is downloaded offline. "
            f"Leave away --offline and HF_HUB_OFFLINE, or give a folder that holds it as the backbone."
        )
    snapshot = snapshot or _download(card)
    try:
        manifest.check(card, snapshot)
    except RefusedError as error:
        raise RefusedError(f"{error} Delete {_repository(card)} to download it again.") from error
    return snapshot


def _repository(card: Card) -> Path:
    return cache() / f"models--{card.facts['repo'].replace('/', '--')}"


def _there(path: Path) -> bool:
    return path.is_file() or (path.suffix == SAFE and path.with_suffix(ARCHIVED).is_file())


def _download(card: Card) -> Path:
    revision = card.facts.get("revision", "main")
    first, *others = (name for name in files(card) if not name.endswith(SAFE))
    path = _get(card, first, revision)
    snapshot = Path(*path.parts[: len(path.parts) - len(Path(first).parts)])
    for name in others:
        _get(card, name, snapshot.name)
    for name in files(card):
        if name.endswith(SAFE):
            _get_weights(card, name, snapshot.name)
    return snapshot


def _get_weights(card: Card, name: str, commit: str) -> Path:
    try:
        return _get(card, name, commit)
    except _NoSuchFile:
        archived = str(Path(name).with_suffix(ARCHIVED).as_posix())
    try:
        return _get(card, archived, commit)
    except _NoSuchFile as error:
        raise NotFoundError(f"{error} It has no {name} either, so it is only half a repository.") from error


class _NoSuchFile(NotFoundError):
    """A repository is there, but a file of it is not."""


def _get(card: Card, name: str, revision: str) -> Path:
    """A file of a repository, in the hub's cache, linked into its snapshot by the hub's own library."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    repo, endpoint = card.facts["repo"], os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    try:
        _put_blob(card, name, revision, endpoint)
        place = hf_hub_download(repo, name, revision=revision, endpoint=endpoint, cache_dir=cache())
    except HspaceError:
        raise
    except EntryNotFoundError as error:
        if not _answered(error):
            raise _failed(repo, endpoint, error) from error
        raise _NoSuchFile(f"{repo} at {endpoint} has no file {name} (revision {revision}).") from error
    except RevisionNotFoundError as error:
        raise NotFoundError(f"{repo} at {endpoint} has no revision {revision}.") from error
    except RepositoryNotFoundError as error:
        raise NotFoundError(
            f"there is no repository {repo} at {endpoint}, or it is not for everybody. Give a folder that holds it as "
            f"the backbone, or set HF_ENDPOINT to a mirror."
        ) from error
    except Exception as error:  # the hub's library raises those of its HTTP library, which has changed twice
        raise _failed(repo, endpoint, error) from error
    return Path(place)


def _answered(error: Exception) -> bool:
    """Whether a server said so: the library raises the same where it could not ask."""
    return getattr(error, "response", None) is not None


def _failed(repo: str, endpoint: str, error: Exception) -> HspaceError:
    reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    return HspaceError(f"could not download {repo} from {endpoint}: {reason}. Check the network and try again.")


def _put_blob(card: Card, name: str, revision: str, endpoint: str) -> None:
    """Puts a file's content where the hub's library looks for it: among the blobs, by its etag.

    That is the sha256 of a large file; the library itself begins anew when it was interrupted.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    from hspace.download import Remote, download

    url = hf_hub_url(card.facts["repo"], name, revision=revision, endpoint=endpoint)
    told = get_hf_file_metadata(url, endpoint=endpoint)
    if told.etag is None:
        return
    sha256 = told.etag if re.fullmatch(r"[0-9a-f]{64}", told.etag) else None
    _require_published(card, name, told.size, sha256)
    headers = {"Authorization": f"Bearer {token}"} if (token := get_token()) else {}
    remote = Remote(url, f'"{told.etag}"', told.size, sha256, headers=headers)
    download(remote, _repository(card) / "blobs" / told.etag, f"{card.facts['repo']} {name}")


def _require_published(card: Card, name: str, size: int | None, sha256: str | None) -> None:
    facts: Any = card.facts
    if name != facts.get("file"):
        return
    for what, known, found in (("bytes", facts.get("bytes"), size), ("sha256", facts.get("sha256"), sha256)):
        if known is not None and found is not None and known != found:
            raise RefusedError(f"{name} of {facts['repo']} is not the published one: {what} {found}, not {known}")
