"""Sheets of images."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from hspace.storage import write_bytes


def draw_sheet(images: Tensor, path: Path, columns: int = 8, zoom: int = 2) -> None:
    """Writes images (N, 3, H, W) in [-1, 1] as a PNG with `columns` in a row, each pixel `zoom` pixels wide.

    N must be a multiple of `columns`.
    """
    from PIL import Image

    n, _, height, width = images.shape
    rows = images.clamp(-1, 1).reshape(n // columns, columns, 3, height, width)
    pixels = rows.permute(0, 3, 1, 4, 2).reshape(n // columns * height, columns * width, 3)
    sheet = Image.fromarray(((pixels + 1) * 127.5).round().to(torch.uint8).cpu().numpy())
    png = BytesIO()
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).save(png, "PNG", optimize=True)
    write_bytes(path, png.getvalue())
