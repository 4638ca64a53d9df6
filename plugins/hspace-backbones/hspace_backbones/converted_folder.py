"""Writing a converted checkpoint: a folder that is whole or absent."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from diffusers import DDIMScheduler
from safetensors import SafetensorError
from safetensors.torch import save_file

from hspace.errors import HspaceError, RefusedError
from hspace.storage import TEMPORARY
from hspace.zoo import CARD_FILE, CARD_FORMAT
from hspace_backbones.conversion import Converted, Network
from hspace_backbones.folders import WEIGHTS
from hspace_backbones.layout import CONFIG


def require_free(out: Path) -> None:
    """Raises RefusedError when something is at `out` already, other than an empty folder."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise RefusedError(f"{out} is there already; name a folder that is not, or an empty one")


def write_folder(converted: Converted, out: Path, family: str, source: str) -> None:
    """Writes the networks, the schedule and the card, beside `out` first, and then puts them in its place.

    Raises HspaceError when the folder cannot be written or the disk is full; nothing is left there then.
    """
    require_free(out)
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=TEMPORARY))
        for name, network in converted.networks.items():
            _write_network(network, temporary / name)
        DDIMScheduler(**converted.schedule.config()).save_pretrained(temporary / "scheduler")
        card = {"format": CARD_FORMAT, "name": out.resolve().name, "family": family, "source": source}
        _write_json(temporary / CARD_FILE, {**card, **converted.facts})
        _sync(temporary)
        temporary.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would hide the folder from others
        os.replace(temporary, out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HspaceError(f"could not write {out}: {reason}; nothing was written. Choose another folder.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_network(network: Network, folder: Path) -> None:
    folder.mkdir()
    _write_json(folder / CONFIG, {"_class_name": network.cls.__name__, **network.config})
    save_file({name: t.contiguous() for name, t in network.weights.items()}, folder / WEIGHTS, {"format": "pt"})


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
