"""Pictures: decoded with suspicion, written atomically, and laid out in contact sheets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from hspace.errors import NotFoundError, RefusedError
from hspace.storage import writing

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 64_000_000
"""Larger pictures are refused by their header, before a byte of them is decoded."""
SMALLEST_TILE, LARGEST_TILE = 64, 128
MIN_SIDE = 16
"""Smaller pictures hold nothing to edit."""


def open_image(path: Path) -> Image.Image:
    """The picture in a file: upright, RGB, 8 bits a channel, transparency laid over white.

    Raises NotFoundError when there is no file; RefusedError when it is no picture of a known format, is
    truncated, is too large or too small, or has pixels of neither 8 nor 16 bits.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is stricter
            image: Image.Image = Image.open(file, formats=FORMATS)
            _check_size(path, *image.size)
            image.load()
        image = ImageOps.exif_transpose(_of_bytes(path, image))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        return image.convert("RGB")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except Image.DecompressionBombError as error:
        raise RefusedError(f"{path} claims too many pixels to be decoded safely; make it smaller first") from error
    except UnidentifiedImageError as error:
        raise RefusedError(f"{path} is not a picture; {', '.join(FORMATS)} are read") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for truncated or damaged files
        raise RefusedError(f"{path} is damaged or truncated and cannot be decoded: {error}") from error


def _of_bytes(path: Path, image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel: 16 bits of grey are rounded to them, which Pillow would cut off at 255."""
    if image.mode.startswith("I;16"):
        import numpy as np

        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise RefusedError(f"{path} has pixels whose range is not known (mode {image.mode}); save it in 8 or 16 bits")
    return image


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise RefusedError(
            f"{path} is {width}x{height}, more than {MAX_PIXELS // 10**6} million pixels; make it smaller first"
        )
    if min(width, height) < MIN_SIDE:
        raise RefusedError(f"{path} is {width}x{height}; a picture needs at least {MIN_SIDE} pixels a side")


def load_image(path: Path, size: int) -> Tensor:
    """The picture (1, 3, size, size) in [-1, 1]: its central square, resized with an antialiased Lanczos filter.

    Raises as `open_image` does.
    """
    return to_tensor(ImageOps.fit(open_image(path), (size, size), Image.Resampling.LANCZOS))


def load_images(paths: Sequence[Path], size: int, n: int | None = None) -> tuple[dict[Path, Tensor], dict[Path, str]]:
    """The first n readable pictures, each as `load_image` gives it, and of the others why they cannot be read.

    Raises RefusedError when none can be read, NotFoundError when there is no such file.
    """
    pictures: dict[Path, Tensor] = {}
    skipped: dict[Path, str] = {}
    for path in paths:
        if len(pictures) == n:
            break
        try:
            pictures[path] = load_image(path, size)
        except RefusedError as error:
            skipped[path] = str(error)
    if not pictures:
        raise RefusedError(f"none of the {len(skipped)} pictures can be read: {next(iter(skipped.values()), '')}")
    return pictures, skipped


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as (1, 3, H, W) float32 in [-1, 1]."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    return (pixels / 127.5 - 1).permute(2, 0, 1).unsqueeze(0)


def to_picture(image: Tensor) -> Image.Image:
    """An image (3, H, W), clamped to [-1, 1], as an 8-bit RGB picture."""
    pixels = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def save_picture(path: Path, picture: Image.Image, note: str | None = None) -> None:
    """Writes a PNG atomically, with `note` as its text chunk "hspace"; nothing else of a source's metadata is kept."""
    info = PngInfo()
    if note is not None:
        info.add_text("hspace", note)
    with writing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=info, optimize=True)


def read_note(path: Path) -> str | None:
    """The text chunk "hspace" of a PNG, None when the file is not a picture or has none."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            note = image.info.get("hspace")
    except (OSError, SyntaxError, ValueError):
        return None
    return note if isinstance(note, str) else None


def find_images(places: Sequence[Path]) -> list[Path]:
    """The pictures that `places` name: files as they are, folders by the suffix of what is in them, in order.

    Raises NotFoundError for a place that does not exist, or a folder without a picture.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
            if not inside:
                raise NotFoundError(f"the folder {place} holds no picture ({', '.join(SUFFIXES)})")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise NotFoundError(f"there is no file or folder {place}")
    return found


def contact_sheet(
    rows: Sequence[Sequence[Sequence[Image.Image]]],
    row_labels: Sequence[str],
    column_labels: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """A sheet of pictures: each row is a list of groups, each group a list of pictures standing close together.

    Row labels stand at the left, column labels over each picture of every group, the title on top. Pictures keep their
    own size, from 64 to 128 pixels.
    """
    tile = min(max(rows[0][0][0].width, SMALLEST_TILE), LARGEST_TILE)
    gap, between, margin = 2, 14, 16
    font, small, bold = (ImageFont.load_default(size) for size in (15, 12, 19))
    groups = max(len(row) for row in rows)
    wide = max(len(group) for row in rows for group in row)
    label_width = max([int(font.getlength(label)) for label in row_labels] + [0]) + (14 if any(row_labels) else 0)
    header = (34 if title else 0) + (20 if column_labels else 0)
    group_width = wide * (tile + gap) - gap
    width = 2 * margin + label_width + groups * (group_width + between) - between
    height = 2 * margin + header + len(rows) * (tile + gap + 4)
    sheet = Image.new("RGB", (max(width, 2 * margin + int(bold.getlength(title))), height), (250, 250, 248))
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((margin, margin - 4), title, font=bold, fill=(30, 30, 34))
    for group in range(groups):
        left = margin + label_width + group * (group_width + between)
        for column, label in enumerate(column_labels):
            x = left + column * (tile + gap) + tile // 2
            draw.text((x, margin + header - 6), label, font=small, fill=(110, 110, 116), anchor="ms")
    for index, (row, label) in enumerate(zip(rows, row_labels, strict=True)):
        top = margin + header + index * (tile + gap + 4)
        draw.text((margin, top + tile // 2), label, font=font, fill=(60, 60, 66), anchor="lm")
        for group, pictures in enumerate(row):
            for column, picture in enumerate(pictures):
                left = margin + label_width + group * (group_width + between) + column * (tile + gap)
                sheet.paste(picture.resize((tile, tile), Image.Resampling.BICUBIC), (left, top))
    return sheet


def psnr(image: Tensor, other: Tensor) -> float:
    """The peak signal-to-noise ratio, in dB, of two images in [-1, 1]; infinite when they are equal."""
    error = (image.clamp(-1, 1) - other.clamp(-1, 1)).double().square().mean().item()
    return 10 * math.log10(4 / error) if error else math.inf
