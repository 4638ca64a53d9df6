"""`hspace doctor`: is this machine ready?"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from hspace.cli.output import Json, print_json, print_table
from hspace.errors import HspaceError

PACKAGES = ("hspace", "torch", "torchvision", "diffusers", "timm", "open_clip_torch", "safetensors", "typer", "pluggy")

TORCHVISION_MISMATCH = (
    "the installed torchvision was built for another torch ('operator torchvision::nms does not exist'), "
    "which stops diffusers from importing. Install both from one place and of matching versions, or, where "
    "nothing needs torchvision, remove it: uv pip uninstall torchvision"
)


Check = tuple[str, str, str, str]
"""(what, "ok", "absent" or "bad", what was found, how to mend it)."""
COLUMNS = ("check", "status", "found", "mend")


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Check versions, devices, torchvision, folders and plugins, and say how to mend what is wrong."""
    checks = [_python(), *_packages(), _device(), _torchvision(), *_folders(), *_plugins()]
    if as_json:
        print_json(
            {"checks": [dict(zip(("check", "status", "found", "mend"), check, strict=True)) for check in checks]}
        )
    else:
        print_table(("check", "status", "found", "mend"), checks)
    if any(status == "bad" for _, status, _, _ in checks):
        raise HspaceError("something is wrong on this machine; the table says how to mend it")


def _python() -> Check:
    return ("python", "ok", f"{platform.python_version()} on {platform.platform()}", "")


def _packages() -> list[Check]:
    checks = []
    for name in PACKAGES:
        try:
            checks.append((name, "ok", version(name), ""))
        except PackageNotFoundError:
            checks.append((name, "absent", "", ""))
    return checks


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return ("device", "ok", f"cuda: {torch.cuda.get_device_name()}", "")
    if torch.mps.is_available():
        return ("device", "ok", "mps", "")
    return ("device", "ok", f"cpu, {torch.get_num_threads()} threads", "")


def _torchvision() -> Check:
    try:
        import torchvision
    except ImportError:
        return ("torchvision loads", "absent", "", "")
    except RuntimeError as error:
        return ("torchvision loads", "bad", str(error), TORCHVISION_MISMATCH)
    return ("torchvision loads", "ok", torchvision.__version__, "")


def _folders() -> list[Check]:
    from pathlib import Path

    from hspace import registry, storage

    places: list[tuple[str, Any]] = [("registry folder", registry.home()), ("working folder", Path.cwd())]
    checks = []
    for name, folder in places:
        try:
            storage.require_writable(folder)
            checks.append((name, "ok", str(folder), ""))
        except HspaceError as error:
            checks.append((name, "bad", str(error), "set HSPACE_HOME, or work in another folder"))
    return checks


def _plugins() -> list[Check]:
    from hspace.plugins import plugins

    return [
        (f"plugin {one.name}", "bad" if one.status == "broken" else "ok", one.status, one.detail)
        for one in plugins().reports()
    ]
