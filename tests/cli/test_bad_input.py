"""Bad input: a clear error, its exit code, no traceback, and nothing written."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from hspace import registry, storage
from hspace.meta import META_FILE, WEIGHTS_FILE

from .conftest import BACKBONE, Answer, Cli

OUT = Path("hspace-out/edit")


def refused(answer: Answer, code: int, message: str) -> None:
    assert answer.code == code, answer.err
    assert message in answer.err
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    assert not OUT.exists() or not any(OUT.iterdir())


def edit(cli: Cli, image: object, direction: str, *more: object) -> Answer:
    return cli("edit", image, "--direction", direction, "--steps", 4, *more)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_not_an_image(cli: Cli, found: str, tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("not a picture")
    refused(edit(cli, path, f"{found}#0"), 3, "is not a picture")


def test_a_truncated_png(cli: Cli, found: str, face: Path) -> None:
    face.write_bytes(face.read_bytes()[:-40])
    refused(edit(cli, face, f"{found}#0"), 3, "damaged or truncated")


def claim(path: Path, side: int) -> Path:
    """A PNG of a few bytes whose header claims a square of that side."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


def test_a_header_that_claims_20000_by_20000_pixels(cli: Cli, found: str, tmp_path: Path) -> None:
    refused(edit(cli, claim(tmp_path / "bomb.png", 20000), f"{found}#0"), 3, "too many pixels")


def test_a_header_just_over_our_own_limit(cli: Cli, found: str, tmp_path: Path) -> None:
    large = claim(tmp_path / "large.png", 9000)
    refused(edit(cli, large, f"{found}#0"), 3, "9000x9000, more than 64 million pixels")


def test_a_picture_of_one_pixel(cli: Cli, found: str, tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1)).save(path)
    refused(edit(cli, path, f"{found}#0"), 3, "1x1; a picture needs at least 16 pixels a side")


def test_one_bad_picture_among_good_ones_writes_nothing(cli: Cli, found: str, face: Path, tmp_path: Path) -> None:
    bad = tmp_path / "zzz.png"
    bad.write_text("not a picture")
    refused(cli("edit", face, bad, "--direction", f"{found}#0", "--steps", 4), 3, "is not a picture")


def test_a_missing_file_and_a_missing_folder(cli: Cli, found: str) -> None:
    refused(edit(cli, "nowhere.png", f"{found}#0"), 4, "there is no file or folder nowhere.png")
    refused(edit(cli, "nowhere/", f"{found}#0"), 4, "there is no file or folder nowhere")


def test_a_folder_without_pictures(cli: Cli, found: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(edit(cli, empty, f"{found}#0"), 4, "holds no picture")


def test_a_misspelt_direction_suggests_the_nearest(cli: Cli, found: str, face: Path) -> None:
    refused(edit(cli, face, found.replace("jacobian", "jacobain")), 4, f"did you mean {found!r}")


def test_a_basis_without_a_component(cli: Cli, found: str, face: Path) -> None:
    refused(edit(cli, face, found), 2, "is a basis of 2 directions; pick one")


def test_a_component_that_is_not_there(cli: Cli, found: str, face: Path) -> None:
    refused(edit(cli, face, f"{found}#7"), 4, "has 2 components, #0 to #1; #7 was asked for")


@pytest.mark.parametrize("strength", ["strong", "", "nan", "inf", "1,5"])
def test_a_strength_that_is_not_a_number(cli: Cli, found: str, face: Path, strength: str) -> None:
    refused(edit(cli, face, f"{found}#0={strength}"), 2, "must be a number")


def test_a_direction_of_another_backbone(cli: Cli, found: str, face: Path) -> None:
    meta_file = registry.find(found).folder / META_FILE
    meta = json.loads(meta_file.read_text())
    meta["backbone"]["fingerprint"] = meta["backbone"]["fingerprint"][::-1]
    meta_file.write_text(json.dumps(meta))
    refused(edit(cli, face, f"{found}#0"), 3, "this backbone's h differs")


def test_weights_changed_by_one_byte(cli: Cli, found: str, face: Path) -> None:
    weights = registry.find(found).folder / WEIGHTS_FILE
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused(edit(cli, face, f"{found}#0"), 3, "was changed: its sha256")
    assert cli("verify").code == 3


def test_weights_that_are_not_finite(cli: Cli, found: str, face: Path) -> None:
    folder = registry.find(found).folder
    tensors = storage.read_tensors(folder / WEIGHTS_FILE)
    tensors["vectors"][0, 0, 0, 0, 0] = torch.nan
    meta = json.loads((folder / META_FILE).read_text())
    meta["weights"]["sha256"] = storage.write_tensors(folder / WEIGHTS_FILE, tensors)
    (folder / META_FILE).write_text(json.dumps(meta))
    refused(edit(cli, face, f"{found}#0"), 3, "not finite")


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("space", "w")])
def test_a_description_of_an_unknown_format_or_space(cli: Cli, found: str, face: Path, key: str, value: object) -> None:
    meta_file = registry.find(found).folder / META_FILE
    meta = json.loads(meta_file.read_text())
    meta_file.write_text(json.dumps({**meta, key: value}))
    refused(edit(cli, face, f"{found}#0"), 3, f"has {key} {value!r}")


def test_a_damaged_description_is_listed_and_the_rest_with_it(cli: Cli, found: str) -> None:
    (registry.find(found).folder / META_FILE).write_text("{")
    (row,) = [one for one in cli("list-directions", "--json").json["directions"] if one["id"] == found]
    assert row["status"].startswith("damaged")


def test_an_output_folder_that_cannot_be_one(cli: Cli, found: str, face: Path) -> None:
    refused(edit(cli, face, f"{found}#0", "--out", face / "inside"), 1, "cannot write to")


def test_a_plugin_that_raises_at_import_is_reported_and_the_rest_works(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text("raise RuntimeError('boom')")
    environment = {**os.environ, "HSPACE_PLUGINS": str(plugin)}
    hspace = [sys.executable, "-m", "hspace"]
    listed = subprocess.run([*hspace, "plugins", "--json"], env=environment, capture_output=True, text=True)
    (report,) = [one for one in json.loads(listed.stdout)["plugins"] if one["name"] == "broken"]
    assert report["status"] == "broken"
    assert "boom" in report["detail"]
    backbones = subprocess.run([*hspace, "list-backbones"], env=environment, capture_output=True, text=True)
    assert backbones.returncode == 0
    assert BACKBONE in backbones.stdout


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
sys.argv = ["hspace", *sys.argv[1:]]
from hspace.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on a file's size is a Unix one")
def test_a_full_disk_leaves_no_half_written_file(cli: Cli, planted_find: str, face: Path) -> None:
    arguments = ["edit", str(face), "--direction", f"{planted_find}#0", "--steps", "4"]
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True)
    refused(Answer(ran.returncode, ran.stdout, ran.stderr), 1, "File too large; nothing was changed")
